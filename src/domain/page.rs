//! Pages: how a list is cut, and where the next cut begins.

use super::invalid::Invalid;
use super::limits::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};

/// How many objects a page holds: 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize(u32);

impl PageSize {
    /// As many as a page can hold.
    pub const LARGEST: Self = Self(PAGE_SIZE_MAX);

    /// What a table on a page of the portal shows.
    pub const OF_A_TABLE: Self = Self(25);

    /// Errors: not a number from 1 to 100.
    pub fn parse(text: Option<&str>) -> Result<Self, Invalid> {
        let Some(text) = text else {
            return Ok(Self::default());
        };
        match text.parse() {
            Ok(size) if (1..=PAGE_SIZE_MAX).contains(&size) => Ok(Self(size)),
            Ok(_) | Err(_) => Err(Invalid::new(
                "limit",
                "limit_out_of_range",
                "limit must be a whole number from 1 to 100.",
            )),
        }
    }

    /// As many rows as show whether there is a next page.
    pub fn with_one_more(self) -> i64 {
        i64::from(self.0) + 1
    }

    pub fn get(self) -> usize {
        self.0 as usize
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self(PAGE_SIZE_DEFAULT)
    }
}

/// Which way a list runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// Newest first, the default of every list but the feed.
    #[default]
    Descending,
    Ascending,
}

/// Where a page begins: beyond an object, in or against the order of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor<Id> {
    After(Id),
    Before(Id),
}

/// What a list call asks for.
#[derive(Debug, Clone, Copy)]
pub struct PageQuery<Id> {
    pub size: PageSize,
    pub order: Order,
    pub cursor: Option<Cursor<Id>>,
}

impl<Id> PageQuery<Id> {
    /// The same page of a list whose cursors are written otherwise.
    pub fn map<T>(self, cursor: impl FnOnce(Id) -> T) -> PageQuery<T> {
        PageQuery {
            size: self.size,
            order: self.order,
            cursor: self.cursor.map(|sent| match sent {
                Cursor::After(id) => Cursor::After(cursor(id)),
                Cursor::Before(id) => Cursor::Before(cursor(id)),
            }),
        }
    }

    /// Whether the rows are to be read by rising id: reading *before* a cursor runs against the order.
    pub fn reads_ascending(&self) -> bool {
        match self.cursor {
            Some(Cursor::Before(_)) => self.order == Order::Descending,
            Some(Cursor::After(_)) | None => self.order == Order::Ascending,
        }
    }
}

/// One page, and whether there is more on either side of it.
#[derive(Debug, Clone)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub more_before: bool,
    pub more_after: bool,
}

impl<T> Page<T> {
    /// Makes the page of rows that were read as `query` says, one row beyond the page's size.
    pub fn cut<Id>(mut rows: Vec<T>, query: &PageQuery<Id>) -> Self {
        let more = rows.len() > query.size.get();
        rows.truncate(query.size.get());
        match query.cursor {
            Some(Cursor::Before(_)) => {
                rows.reverse();
                Self {
                    items: rows,
                    more_before: more,
                    more_after: true,
                }
            }
            Some(Cursor::After(_)) => Self {
                items: rows,
                more_before: true,
                more_after: more,
            },
            None => Self {
                items: rows,
                more_before: false,
                more_after: more,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_one_to_a_hundred() {
        assert_eq!(PageSize::parse(None), Ok(PageSize(10)));
        assert_eq!(PageSize::parse(Some("100")), Ok(PageSize(100)));
        for bad in ["0", "101", "-1", "ten", "", "1.5", "99999999999999999999"] {
            assert!(PageSize::parse(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_page_before_a_cursor_is_read_against_the_order_and_turned_round() {
        let query = PageQuery {
            size: PageSize(2),
            order: Order::Descending,
            cursor: Some(Cursor::Before(3)),
        };

        let page = Page::cut(vec![4, 5, 6], &query);

        assert!(query.reads_ascending());
        assert_eq!(page.items, [5, 4]);
        assert!(page.more_before && page.more_after);
    }

    #[test]
    fn the_last_page_has_nothing_after_it() {
        let query = PageQuery {
            size: PageSize(2),
            order: Order::Descending,
            cursor: None::<Cursor<u8>>,
        };

        assert!(!Page::cut(vec![2, 1], &query).more_after);
        assert!(Page::cut(vec![3, 2, 1], &query).more_after);
    }
}
