//! The laws of the parsers, on whatever text reaches more of their code.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/it/api/parser_laws.rs"]
mod parser_laws;

fuzz_target!(|made: (usize, Vec<(usize, u8, char)>, &str)| {
    let (which, damage, text) = made;
    let right = parser_laws::RIGHT[which % parser_laws::RIGHT.len()];
    for text in [text, &parser_laws::damaged(right, &damage)] {
        parser_laws::what_is_accepted_reads_back(text);
        parser_laws::no_parser_panics(text);
    }
});
