//! A fixed number of values of which most are nothing: only blocks that hold something exist.
//!
//! The windows of a contract that is asked for now and then hold a few values out of hundreds, and
//! there are as many windows as contracts. A block is made for its first value and goes with its
//! last, and so does the list of blocks; a window that is full takes as much as an array and a pointer
//! for each block.

/// `BLOCKS` blocks of `SIZE` values.
#[derive(Debug, Clone)]
pub(super) struct Blocks<T, const SIZE: usize, const BLOCKS: usize> {
    blocks: Option<Box<[Block<T, SIZE>; BLOCKS]>>,
}

type Block<T, const SIZE: usize> = Option<Box<[T; SIZE]>>;

impl<T, const SIZE: usize, const BLOCKS: usize> Default for Blocks<T, SIZE, BLOCKS> {
    fn default() -> Self {
        Self { blocks: None }
    }
}

impl<T: Copy + Default + PartialEq, const SIZE: usize, const BLOCKS: usize>
    Blocks<T, SIZE, BLOCKS>
{
    /// The value at a place; nothing beyond the last one.
    #[inline]
    pub(super) fn get(&self, place: usize) -> T {
        let block = self.blocks.as_ref().and_then(|all| all.get(place / SIZE));
        let value = block
            .and_then(Option::as_ref)
            .and_then(|block| block.get(place % SIZE));
        value.copied().unwrap_or_default()
    }

    /// Puts a value at a place and gives the one that was there.
    pub(super) fn replace(&mut self, place: usize, value: T) -> T {
        let nothing = T::default();
        if self.blocks.is_none() && value == nothing {
            return nothing;
        }
        let blocks = self
            .blocks
            .get_or_insert_with(|| Box::new([const { None }; BLOCKS]));
        let Some(held) = blocks.get_mut(place / SIZE) else {
            return nothing;
        };
        if held.is_none() && value == nothing {
            return nothing;
        }
        let block = held.get_or_insert_with(|| Box::new([nothing; SIZE]));
        let Some(slot) = block.get_mut(place % SIZE) else {
            return nothing;
        };
        let before = std::mem::replace(slot, value);
        if value == nothing && block.iter().all(|value| *value == nothing) {
            *held = None;
            if blocks.iter().all(Option::is_none) {
                self.blocks = None;
            }
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use super::Blocks;

    #[test]
    fn it_holds_what_an_array_holds() {
        let mut blocks = Blocks::<u32, 4, 3>::default();
        let mut array = [0; 12];
        for step in 0..1_000_usize {
            let (place, value) = (step * 7 % 12, (step * step % 3 * (step / 100 % 2)) as u32);
            let before = std::mem::replace(&mut array[place], value);
            assert_eq!(blocks.replace(place, value), before, "step {step}");
            assert!((0..12).all(|place| blocks.get(place) == array[place]));
            let is_nothing = |values: &[u32]| values.iter().all(|value| *value == 0);
            assert_eq!(blocks.blocks.is_none(), is_nothing(&array), "step {step}");
            let held = blocks.blocks.iter().flat_map(|all| all.iter());
            for (block, values) in held.zip(array.chunks(4)) {
                assert_eq!(block.is_none(), is_nothing(values), "step {step}");
            }
        }
        assert_eq!((blocks.get(12), blocks.replace(12, 1)), (0, 0), "beyond");
    }
}
