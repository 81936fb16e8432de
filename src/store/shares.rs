//! Shares: how much of something endpoints may use, by how they have answered lately.
//!
//! Invariant: a quarter is kept for endpoints that answer promptly and another quarter for those that are not
//! late, so that however many endpoints hang, others find room. Counts only; knows no endpoint.

/// How an endpoint has answered lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// It answered in good time.
    Prompt,
    /// Nothing is known of it, or it answers slowly.
    #[default]
    Untried,
    /// It let a POST time out and has not made up for it.
    Late,
}

/// Units in use, by the standing of who uses them.
#[derive(Debug)]
pub struct Shares {
    max: usize,
    prompt: usize,
    untried: usize,
    late: usize,
}

impl Shares {
    pub const fn new(max: usize) -> Self {
        Self {
            max,
            prompt: 0,
            untried: 0,
            late: 0,
        }
    }

    /// How many more units there are for endpoints of this standing.
    pub fn room(&self, standing: Standing) -> usize {
        let kept = self.max / 4;
        let for_all = self.max.saturating_sub(self.in_use());
        let untried = (self.max - kept).saturating_sub(self.untried + self.late);
        let late = (self.max - 2 * kept).saturating_sub(self.late);
        match standing {
            Standing::Prompt => for_all,
            Standing::Untried => for_all.min(untried),
            Standing::Late => for_all.min(untried).min(late),
        }
    }

    pub fn in_use(&self) -> usize {
        self.prompt + self.untried + self.late
    }

    pub fn take(&mut self, standing: Standing, units: usize) {
        *self.of(standing) += units;
    }

    pub fn give_back(&mut self, standing: Standing, units: usize) {
        let used = self.of(standing);
        *used = used.saturating_sub(units);
    }

    const fn of(&mut self, standing: Standing) -> &mut usize {
        match standing {
            Standing::Prompt => &mut self.prompt,
            Standing::Untried => &mut self.untried,
            Standing::Late => &mut self.late,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms(shares: &Shares) -> [usize; 3] {
        [Standing::Prompt, Standing::Untried, Standing::Late].map(|standing| shares.room(standing))
    }

    #[test]
    fn a_quarter_is_kept_from_the_untried_and_a_half_from_the_late() {
        let mut shares = Shares::new(100);
        assert_eq!(rooms(&shares), [100, 75, 50]);

        shares.take(Standing::Late, 50);
        assert_eq!(rooms(&shares), [50, 25, 0]);
        shares.take(Standing::Untried, 25);
        assert_eq!(rooms(&shares), [25, 0, 0]);
        shares.give_back(Standing::Late, 50);
        assert_eq!(rooms(&shares), [75, 50, 50]);
    }

    #[test]
    fn the_prompt_may_use_everything() {
        let mut shares = Shares::new(100);
        shares.take(Standing::Prompt, 100);

        assert_eq!(rooms(&shares), [0, 0, 0]);
    }
}
