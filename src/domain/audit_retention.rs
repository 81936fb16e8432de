//! How long audit logs are kept: the periods that an organization can choose from.
//!
//! Invariant: a period is 1 to 11 months of 30 days, or 1 to 10 years of 365 days (Source: the contract's 4.5).

const MONTH_DAYS: u32 = 30;
const YEAR_DAYS: u32 = 365;
const MONTHS_MAX: u32 = 11;
const YEARS_MAX: u32 = 10;

/// The longest period, in days.
pub const RETENTION_DAYS_MAX: u32 = YEARS_MAX * YEAR_DAYS;

/// A time that entries are kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionPeriod {
    days: u32,
}

impl RetentionPeriod {
    /// Reads `1_MONTH`, `2_MONTHS` … `11_MONTHS`, `1_YEAR`, `2_YEARS` … `10_YEARS`.
    pub fn from_word(word: &str) -> Option<Self> {
        let mut all = Self::all();
        all.find(|period| word == period.words().replace(' ', "_").to_uppercase())
    }

    /// Every period, the shortest first.
    pub fn all() -> impl Iterator<Item = Self> {
        let months = (1..=MONTHS_MAX).map(|count| count * MONTH_DAYS);
        let years = (1..=YEARS_MAX).map(|count| count * YEAR_DAYS);
        months.chain(years).map(|days| Self { days })
    }

    /// The period for people: `2 months`, `1 year`.
    pub fn words(self) -> String {
        let (count, unit) = match self.days < YEAR_DAYS {
            true => (self.days / MONTH_DAYS, "month"),
            false => (self.days / YEAR_DAYS, "year"),
        };
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {unit}{plural}")
    }

    /// Takes a number of days that is one of the periods.
    pub fn from_days(days: u32) -> Option<Self> {
        let in_units =
            |unit: u32, max: u32| days.is_multiple_of(unit) && (1..=max).contains(&(days / unit));
        (in_units(MONTH_DAYS, MONTHS_MAX) || in_units(YEAR_DAYS, YEARS_MAX))
            .then_some(Self { days })
    }

    pub const fn days(self) -> u32 {
        self.days
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_months_of_thirty_days_or_years_of_365() {
        let days = |word| RetentionPeriod::from_word(word).map(RetentionPeriod::days);

        assert_eq!(days("1_MONTH"), Some(30));
        assert_eq!(days("11_MONTHS"), Some(330));
        assert_eq!(days("1_YEAR"), Some(365));
        assert_eq!(days("10_YEARS"), Some(3650));
        for bad in [
            "",
            "0_MONTHS",
            "12_MONTHS",
            "1_MONTHS",
            "2_YEAR",
            "11_YEARS",
            "1_year",
            "01_YEAR",
        ] {
            assert_eq!(days(bad), None, "{bad}");
        }
    }

    #[test]
    fn days_are_taken_when_they_make_a_period() {
        for good in [30, 60, 330, 365, 730, 3650] {
            assert_eq!(
                RetentionPeriod::from_days(good).map(RetentionPeriod::days),
                Some(good)
            );
        }
        for bad in [0, 7, 31, 360, 366, 4015, u32::MAX] {
            assert_eq!(RetentionPeriod::from_days(bad), None, "{bad}");
        }
    }
}
