//! Spellings: the ways in which a URL can be aimed at a place that must not be called.
//!
//! Invariant: every one is refused, and for the stated reason, so that none is refused by accident. The addresses
//! are spelled in every form that the URL parser takes for one. Data and one table test; laws are in `policy`.

use crate::egress::{Policy, Refusal};

#[test]
fn no_spelling_of_a_forbidden_address_may_be_called() {
    let policy = Policy::default();

    for url in FORBIDDEN_ADDRESSES.split_whitespace() {
        let judged = policy.check_url(url);

        assert!(
            matches!(judged, Err(Refusal::Address(_))),
            "{url} was judged {judged:?}"
        );
    }
    assert!(FORBIDDEN_ADDRESSES.split_whitespace().count() >= 200);
}

#[test]
fn what_is_no_callable_url_is_refused_for_what_is_wrong_with_it() {
    let policy = Policy::default();

    for (refusal, urls) in UNCALLABLE {
        for url in *urls {
            assert_eq!(policy.check_url(url).err(), Some(*refusal), "{url:?}");
        }
    }
}

const UNCALLABLE: &[(Refusal, &[&str])] = &[
    (
        Refusal::Malformed,
        &[
            " http://example.com/",
            "http://example.com/ ",
            "http://exa\tmple.com/",
            "http://exam\nple.com/",
            "http:\\\\127.0.0.1\\",
            "http://example.com\\@10.0.0.1/",
            "http://example.com/a b",
            "http://example.com/\u{0}",
        ],
    ),
    (
        Refusal::Scheme,
        &[
            "",
            "/relative",
            "example.com",
            "ftp://example.com/",
            "file:///etc/passwd",
            "gopher://127.0.0.1:25/",
            "javascript:alert(1)",
            "data:text/plain,x",
            "ws://example.com/",
            "//example.com/",
            "unix:/run/docker.sock",
            "dict://127.0.0.1:11211/",
        ],
    ),
    (
        Refusal::UserInfo,
        &[
            "http://user@example.com/",
            "http://user:pass@example.com/",
            "https://:pass@example.com/",
            "http://8.8.8.8@127.0.0.1/",
            "http://example.com%00@127.0.0.1/",
            "http://example.com:80@10.0.0.1/",
        ],
    ),
    (
        Refusal::Fragment,
        &[
            "http://example.com/#",
            "http://example.com/#a",
            "http://example.com?a=b#@127.0.0.1",
        ],
    ),
    (
        Refusal::Host,
        &[
            "http://",
            "http:///",
            "https://?a=b",
            "http://[::1",
            "http://[fe80::1%25eth0]/",
            "http://256.256.256.256/",
            "http://127.0.0.0.1/",
            "http://0x100000000/",
            "http://1.2.3.4.5/",
            "http://08/",
            "http://a..b/",
            "http://.example.com/",
            "http://./",
            "http://example.com../",
            "http://exa\"mple.com/",
            "http://{host}/",
            "http://a;b/",
            "http://a,b/",
            "http://exa%mple.com/",
            "http://%00/",
            "http://a%2fb/",
            "http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.com/",
            "http://[1.2.3.4]/",
            "http://example.com%0d%0aX:y/",
        ],
    ),
    (
        Refusal::Port,
        &[
            "http://example.com:0/",
            "http://example.com:65536/",
            "http://example.com:22/",
            "http://example.com:25/",
            "http://example.com:6667/",
            "http://example.com:-1/",
            "http://example.com:8x/",
        ],
    ),
];

const FORBIDDEN_ADDRESSES: &str = "
    http://127.0.0.1/ https://127.0.0.1 HTTP://127.0.0.1:8080/x?y=z http://127.0.0.1./ http:127.0.0.1/
    http:///127.0.0.1/ http://2130706433/ http://0x7f000001/ http://0X7F000001/ http://017700000001/
    http://0x7f.0x0.0x0.0x1/ http://0177.00.00.01/ http://0x7f.00.0.0x1/ http://127.1/ http://127.0.1/
    http://127.0x1/ http://%31%32%37%2e%30%2e%30%2e%31/ http://１２７.０.０.１/ http://127。0。0。1/ http://127．0．0．1/
    http://１２７｡０｡０｡１/ http://[::ffff:127.0.0.1]/ http://[::ffff:7f00:0001]/ http://[0:0:0:0:0:FFFF:7F00:0001]/
    http://[::127.0.0.1]/ http://[64:ff9b::7f00:0001]/ http://[2002:7f00:0001::1]/
    http://[2001:0:7f00:0001::]/ http://[::ffff:0:127.0.0.1]/ http://[64:ff9b:1::127.0.0.1]/ http://10.0.0.5/
    https://10.0.0.5 HTTP://10.0.0.5:8080/x?y=z http://10.0.0.5./ http:10.0.0.5/ http:///10.0.0.5/
    http://167772165/ http://0x0a000005/ http://0X0A000005/ http://01200000005/ http://0xa.0x0.0x0.0x5/
    http://012.00.00.05/ http://0x0a.00.0.0x5/ http://10.5/ http://10.0.5/ http://10.0x5/
    http://%31%30%2e%30%2e%30%2e%35/ http://１０.０.０.５/ http://10。0。0。5/ http://10．0．0．5/ http://１０｡０｡０｡５/
    http://[::ffff:10.0.0.5]/ http://[::ffff:0a00:0005]/ http://[0:0:0:0:0:FFFF:0A00:0005]/
    http://[::10.0.0.5]/ http://[64:ff9b::0a00:0005]/ http://[2002:0a00:0005::1]/ http://[2001:0:0a00:0005::]/
    http://[::ffff:0:10.0.0.5]/ http://[64:ff9b:1::10.0.0.5]/ http://169.254.169.254/ https://169.254.169.254
    HTTP://169.254.169.254:8080/x?y=z http://169.254.169.254./ http:169.254.169.254/ http:///169.254.169.254/
    http://2852039166/ http://0xa9fea9fe/ http://0XA9FEA9FE/ http://025177524776/ http://0xa9.0xfe.0xa9.0xfe/
    http://0251.0376.0251.0376/ http://0xa9.0376.169.0xfe/ http://169.16689662/ http://169.254.43518/
    http://169.0xfea9fe/ http://%31%36%39%2e%32%35%34%2e%31%36%39%2e%32%35%34/ http://１６９.２５４.１６９.２５４/
    http://169。254。169。254/ http://169．254．169．254/ http://１６９｡２５４｡１６９｡２５４/ http://[::ffff:169.254.169.254]/
    http://[::ffff:a9fe:a9fe]/ http://[0:0:0:0:0:FFFF:A9FE:A9FE]/ http://[::169.254.169.254]/
    http://[64:ff9b::a9fe:a9fe]/ http://[2002:a9fe:a9fe::1]/ http://[2001:0:a9fe:a9fe::]/
    http://[::ffff:0:169.254.169.254]/ http://[64:ff9b:1::169.254.169.254]/ http://192.168.1.1/
    https://192.168.1.1 HTTP://192.168.1.1:8080/x?y=z http://192.168.1.1./ http:192.168.1.1/
    http:///192.168.1.1/ http://3232235777/ http://0xc0a80101/ http://0XC0A80101/ http://030052000401/
    http://0xc0.0xa8.0x1.0x1/ http://0300.0250.01.01/ http://0xc0.0250.1.0x1/ http://192.11010305/
    http://192.168.257/ http://192.0xa80101/ http://%31%39%32%2e%31%36%38%2e%31%2e%31/ http://１９２.１６８.１.１/
    http://192。168。1。1/ http://192．168．1．1/ http://１９２｡１６８｡１｡１/ http://[::ffff:192.168.1.1]/
    http://[::ffff:c0a8:0101]/ http://[0:0:0:0:0:FFFF:C0A8:0101]/ http://[::192.168.1.1]/
    http://[64:ff9b::c0a8:0101]/ http://[2002:c0a8:0101::1]/ http://[2001:0:c0a8:0101::]/
    http://[::ffff:0:192.168.1.1]/ http://[64:ff9b:1::192.168.1.1]/ http://172.31.255.255/
    https://172.31.255.255 HTTP://172.31.255.255:8080/x?y=z http://172.31.255.255./ http:172.31.255.255/
    http:///172.31.255.255/ http://2887778303/ http://0xac1fffff/ http://0XAC1FFFFF/ http://025407777777/
    http://0xac.0x1f.0xff.0xff/ http://0254.037.0377.0377/ http://0xac.037.255.0xff/ http://172.2097151/
    http://172.31.65535/ http://172.0x1fffff/ http://%31%37%32%2e%33%31%2e%32%35%35%2e%32%35%35/
    http://１７２.３１.２５５.２５５/ http://172。31。255。255/ http://172．31．255．255/ http://１７２｡３１｡２５５｡２５５/
    http://[::ffff:172.31.255.255]/ http://[::ffff:ac1f:ffff]/ http://[0:0:0:0:0:FFFF:AC1F:FFFF]/
    http://[::172.31.255.255]/ http://[64:ff9b::ac1f:ffff]/ http://[2002:ac1f:ffff::1]/
    http://[2001:0:ac1f:ffff::]/ http://[::ffff:0:172.31.255.255]/ http://[64:ff9b:1::172.31.255.255]/
    http://0.0.0.0/ https://0.0.0.0 HTTP://0.0.0.0:8080/x?y=z http://0.0.0.0./ http:0.0.0.0/ http:///0.0.0.0/
    http://0/ http://0x00000000/ http://0X00000000/ http://00/ http://0x0.0x0.0x0.0x0/ http://00.00.00.00/
    http://0x00.00.0.0x0/ http://0.0/ http://0.0.0/ http://0.0x0/ http://%30%2e%30%2e%30%2e%30/
    http://０.０.０.０/ http://0。0。0。0/ http://0．0．0．0/ http://０｡０｡０｡０/ http://[::ffff:0.0.0.0]/
    http://[::ffff:0000:0000]/ http://[0:0:0:0:0:FFFF:0000:0000]/ http://[::0.0.0.0]/
    http://[64:ff9b::0000:0000]/ http://[2002:0000:0000::1]/ http://[2001:0:0000:0000::]/
    http://[::ffff:0:0.0.0.0]/ http://[64:ff9b:1::0.0.0.0]/ http://100.100.100.200/ https://100.100.100.200
    HTTP://100.100.100.200:8080/x?y=z http://100.100.100.200./ http:100.100.100.200/ http:///100.100.100.200/
    http://1684301000/ http://0x646464c8/ http://0X646464C8/ http://014431062310/ http://0x64.0x64.0x64.0xc8/
    http://0144.0144.0144.0310/ http://0x64.0144.100.0xc8/ http://100.6579400/ http://100.100.25800/
    http://100.0x6464c8/ http://%31%30%30%2e%31%30%30%2e%31%30%30%2e%32%30%30/ http://１００.１００.１００.２００/
    http://100。100。100。200/ http://100．100．100．200/ http://１００｡１００｡１００｡２００/ http://[::ffff:100.100.100.200]/
    http://[::ffff:6464:64c8]/ http://[0:0:0:0:0:FFFF:6464:64C8]/ http://[::100.100.100.200]/
    http://[64:ff9b::6464:64c8]/ http://[2002:6464:64c8::1]/ http://[2001:0:6464:64c8::]/
    http://[::ffff:0:100.100.100.200]/ http://[64:ff9b:1::100.100.100.200]/ http://127.255.255.255/
    http://0x0/ http://017700000001:3000/ http://0x7f.1/ http://①②⑦.⓪.⓪.①/ http://1%32%37.0.0.1/
    http://%6c%6fcalhost/ http://localhost/ http://LOCALHOST/ http://localhost./ https://localhost:8443/
    http://a.localhost/ http://a.b.localhost./ http://ｌｏｃａｌｈｏｓｔ/ http://loc\u{ad}alhost/ http://192.0.0.1/
    http://192.0.0.192/ http://192.0.2.1/ http://192.31.196.1/ http://192.52.193.1/ http://192.88.99.1/
    http://192.175.48.1/ http://198.18.0.1/ http://198.19.255.255/ http://198.51.100.1/ http://203.0.113.1/
    http://224.0.0.1/ http://239.255.255.250/ http://240.0.0.1/ http://255.255.255.255/ http://4294967295/
    http://0xffffffff/ http://168.63.129.16/ http://2822734096/ http://100.64.0.1/ http://100.127.255.255/
    http://[::]/ http://[::1]/ http://[0:0:0:0:0:0:0:1]/ http://[::0001]:8080/ http://[0000::1]/
    http://[::7f00:1]/ http://[100::1]/ http://[100:0:0:1::1]/ http://[2001::1]/ http://[2001:2::1]/
    http://[2001:10::1]/ http://[2001:20::1]/ http://[2001:db8::1]/ http://[2620:4f:8000::1]/
    http://[3ffe::1]/ http://[3fff::1]/ http://[4000::1]/ http://[5f00::1]/ http://[8000::1]/
    http://[fc00::1]/ http://[fd00:ec2::254]/ http://[FD00::1]/ http://[fe80::1]/ http://[febf::1]/
    http://[fec0::1]/ http://[ff02::1]/ http://[ff0e::1]/ http://[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]/
";
