//! Where logs stand: blocks of one size, handed out and taken back. Memory is asked for seldom, nothing in it is ever moved, and what one attempt gave up
//! fits the next one.

/// Bytes of a block: of an attempt's log half of one is unused in the mean.
pub(super) const BLOCK: usize = 512;
/// Blocks that are asked for at a time: so many that they are the system's own pages, which are zero without anybody's writing zeros.
const AT_ONCE: usize = 512;

/// Bytes that are moved at once, at most: some milliseconds.
const MOVED: usize = 32 << 20;

/// All blocks.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    slabs: Vec<Box<[u8]>>,
    /// The one that was used last is handed out next: it is still near.
    free: Vec<u32>,
}

impl Blocks {
    /// One to write into; what stands in it is of no meaning.
    pub(super) fn take(&mut self) -> u32 {
        if self.free.is_empty() {
            let first = (self.slabs.len() * AT_ONCE) as u32;
            self.slabs.push(vec![0; AT_ONCE * BLOCK].into_boxed_slice());
            self.free.extend((first..first + AT_ONCE as u32).rev());
        }
        // There is one by now.
        self.free.pop().unwrap_or_default()
    }

    /// Nobody needs these any more.
    pub(super) fn give_back(&mut self, blocks: &[u32]) {
        self.free.extend_from_slice(blocks);
    }

    /// How many are in use.
    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.slabs.len() * AT_ONCE - self.free.len()
    }

    /// What they have of the system's memory, in bytes.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.slabs.len() * AT_ONCE * BLOCK
    }

    /// More than half of what was asked for could be given back to the system, and what is in use is quickly moved.
    pub(super) fn are_sparse(&self) -> bool {
        let used = self.slabs.len() * AT_ONCE - self.free.len();
        self.free.len() >= AT_ONCE.max(used) && used <= MOVED / BLOCK
    }

    pub(super) fn of(&self, block: u32) -> &[u8] {
        let (slab, at) = place(block);
        let slab = self.slabs.get(slab);
        slab.and_then(|slab| slab.get(at..at + BLOCK))
            .unwrap_or_default()
    }

    pub(super) fn of_mut(&mut self, block: u32) -> &mut [u8] {
        let (slab, at) = place(block);
        let slab = self.slabs.get_mut(slab);
        slab.and_then(|slab| slab.get_mut(at..at + BLOCK))
            .unwrap_or_default()
    }
}

fn place(block: u32) -> (usize, usize) {
    let block = block as usize;
    (block / AT_ONCE, block % AT_ONCE * BLOCK)
}
