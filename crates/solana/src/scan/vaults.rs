//! The vaults of pools: which pool a token account belongs to, and what of its balance is not the pool's.
//!
//! # Design
//! - Two addresses are a third of all that is known of a pool, and they are wanted only when its vaults are asked for.
//!   So once there are many they lie in a temporary file without a name, which ends with the process; what is written
//!   is public. Without such a file they stay in memory.
//! - A vault is recognised by 64 bits that a keyed hash makes of its address. The key is drawn anew by every process, so
//!   that nobody can make an account that is taken for another's vault, and by chance it happens to one of 2^64.

use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::os::unix::fs::FileExt as _;

use sniper_core::ids::Address;
use sniper_core::scan::{Hash, ID_MAX, Index, RowId, TableError, hash_words};

use super::error::ScanError;

/// With so many pools the addresses are moved to a file.
const FILED_FROM: usize = 4_096;
/// Pools whose addresses are written at once.
const WRITTEN: usize = 256;
/// Bytes of a pool's two addresses.
const PAIR: usize = 64;

/// The number of a pool's vaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VaultsId(u32);

impl VaultsId {
    pub(super) const fn new(number: u32) -> Self {
        Self(number)
    }

    pub(super) const fn get(self) -> u32 {
        self.0
    }

    fn at(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

#[derive(Clone, Copy, Debug)]
struct Held {
    marks: [u64; 2],
    owed: [i64; 2],
}

// One for each pool whose reserves its vaults tell.
const _: () = assert!(size_of::<Held>() == 32);

/// All vaults.
#[derive(Debug)]
pub(super) struct Vaults {
    key: RandomState,
    /// By mark: twice the number of the pool's vaults, and one more for mint 1's.
    index: Index,
    held: Vec<Held>,
    rows: Vec<RowId>,
    addresses: Addresses,
    free: Vec<VaultsId>,
    filed_from: usize,
}

impl Default for Vaults {
    fn default() -> Self {
        Self {
            key: RandomState::new(),
            index: Index::default(),
            held: Vec::new(),
            rows: Vec::new(),
            addresses: Addresses::Memory { all: Vec::new(), stay: false },
            free: Vec::new(),
            filed_from: FILED_FROM,
        }
    }
}

impl Vaults {
    pub(super) fn bytes(&self) -> usize {
        self.index.bytes()
            + self.held.capacity() * size_of::<Held>()
            + self.rows.capacity() * size_of::<RowId>()
            + self.free.capacity() * size_of::<VaultsId>()
            + self.addresses.bytes()
    }

    pub(super) fn shrink_to_fit(&mut self) {
        self.held.shrink_to_fit();
        self.rows.shrink_to_fit();
        self.free.shrink_to_fit();
        if let Addresses::Memory { all, .. } = &mut self.addresses {
            all.shrink_to_fit();
        }
        let held = &self.held;
        self.index.shrink_to_fit(|id| hash_of(held, id));
    }

    /// Takes the vaults of a pool that has none here.
    pub(super) fn add(
        &mut self,
        row: RowId,
        vaults: [Address; 2],
        owed: [i64; 2],
    ) -> Result<VaultsId, ScanError> {
        let next = u32::try_from(self.held.len()).ok().filter(|id| *id < ID_MAX / 2);
        let id = self.free.pop().or(next.map(VaultsId)).ok_or(TableError::Full)?;
        if let Err(error) = self.addresses.put(id, vaults, self.filed_from) {
            self.free.push(id);
            return Err(error);
        }
        let held = Held { marks: vaults.map(|vault| self.mark(&vault)), owed };
        match (self.held.get_mut(id.at()), self.rows.get_mut(id.at())) {
            (Some(place), Some(of)) => (*place, *of) = (held, row),
            _ => {
                self.held.push(held);
                self.rows.push(row);
            }
        }
        for (number, mark) in (id.0 * 2..).zip(held.marks) {
            let held = &self.held;
            self.index.insert(hash_words(mark, 0), number, |id| hash_of(held, id));
        }
        Ok(id)
    }

    pub(super) fn remove(&mut self, id: VaultsId) {
        let held = &self.held;
        for (number, mark) in (id.0 * 2..).zip(held.get(id.at()).map_or([0; 2], |held| held.marks))
        {
            self.index.remove(hash_words(mark, 0), |id| id == number, |id| hash_of(held, id));
        }
        self.free.push(id);
    }

    /// Whose vault an account is, and whether of mint 1.
    pub(super) fn find(&self, address: &Address) -> Option<(RowId, bool)> {
        let mark = self.mark(address);
        let number =
            self.index.find(hash_words(mark, 0), |id| mark_of(&self.held, id) == Some(mark))?;
        Some((*self.rows.get(VaultsId(number / 2).at())?, number % 2 == 1))
    }

    /// Of each vault's balance, what is not the pool's, and below zero what counts on top.
    pub(super) fn owed(&self, id: VaultsId) -> [i64; 2] {
        self.held.get(id.at()).map_or([0; 2], |held| held.owed)
    }

    pub(super) fn set_owed(&mut self, id: VaultsId, owed: [i64; 2]) {
        if let Some(held) = self.held.get_mut(id.at()) {
            held.owed = owed;
        }
    }

    pub(super) fn addresses(&self, id: VaultsId) -> Result<[Address; 2], ScanError> {
        self.addresses.get(id)
    }

    /// Adds the addresses of all these, in order.
    pub(super) fn addresses_of(
        &self,
        ids: &[VaultsId],
        all: &mut Vec<Address>,
    ) -> Result<(), ScanError> {
        let runs = ids.chunk_by(|one, next| one.0.checked_add(1) == Some(next.0));
        runs.flat_map(<[VaultsId]>::split_first)
            .try_for_each(|(first, more)| self.addresses.add_run(*first, 1 + more.len(), all))
    }

    fn mark(&self, address: &Address) -> u64 {
        self.key.hash_one(address.as_array())
    }
}

fn mark_of(held: &[Held], number: u32) -> Option<u64> {
    let [first, second] = held.get(VaultsId(number / 2).at())?.marks;
    Some(if number % 2 == 1 { second } else { first })
}

fn hash_of(held: &[Held], number: u32) -> Hash {
    hash_words(mark_of(held, number).unwrap_or(0), 0)
}

/// The addresses themselves, two by two.
#[derive(Debug)]
enum Addresses {
    Memory {
        all: Vec<[Address; 2]>,
        /// A file was tried, and took them not.
        stay: bool,
    },
    /// All but the last few are in the file.
    Filed { file: File, written: usize, last: Vec<[Address; 2]> },
}

impl Addresses {
    fn bytes(&self) -> usize {
        let (Self::Memory { all: held, .. } | Self::Filed { last: held, .. }) = self;
        held.capacity() * PAIR
    }

    fn get(&self, id: VaultsId) -> Result<[Address; 2], ScanError> {
        let lost = || ScanError::Table(TableError::Unknown(id.0));
        match self {
            Self::Memory { all, .. } => all.get(id.at()).copied().ok_or_else(lost),
            Self::Filed { file, written, last } => match id.at().checked_sub(*written) {
                Some(nth) => last.get(nth).copied().ok_or_else(lost),
                None => read(file, id.at()),
            },
        }
    }

    /// Adds those of so many pools, from one on.
    fn add_run(
        &self,
        from: VaultsId,
        count: usize,
        all: &mut Vec<Address>,
    ) -> Result<(), ScanError> {
        let filed = match self {
            Self::Filed { written, .. } => written.saturating_sub(from.at()).min(count),
            Self::Memory { .. } => 0,
        };
        if let Self::Filed { file, .. } = self
            && filed > 0
        {
            let mut bytes = vec![0; filed * PAIR];
            file.read_exact_at(&mut bytes, offset(from.at())).map_err(ScanError::Filed)?;
            let (addresses, _) = bytes.as_chunks();
            all.extend(addresses.iter().copied().map(Address::new_from_array));
        }
        for nth in filed..count {
            let next = u32::try_from(from.at() + nth).unwrap_or(u32::MAX);
            all.extend(self.get(VaultsId(next))?);
        }
        Ok(())
    }

    fn put(
        &mut self,
        id: VaultsId,
        pair: [Address; 2],
        filed_from: usize,
    ) -> Result<(), ScanError> {
        if let Self::Memory { all, stay: false } = self
            && all.len() >= filed_from
        {
            self.file();
        }
        match self {
            Self::Memory { all, .. } => {
                set(all, id.at(), pair);
                Ok(())
            }
            Self::Filed { file, written, last } => {
                match id.at().checked_sub(*written) {
                    Some(nth) => set(last, nth, pair),
                    None if write(file, id.at(), &[pair]).is_ok() => {}
                    None => {
                        self.unfile()?;
                        return self.put(id, pair, filed_from);
                    }
                }
                if last.len() >= WRITTEN {
                    if write(file, *written, last).is_ok() {
                        *written += last.len();
                        last.clear();
                    } else {
                        self.unfile()?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Moves them to a file; where there can be none, they stay.
    fn file(&mut self) {
        let Self::Memory { all, stay } = self else { return };
        let filed = tempfile::tempfile().and_then(|file| write(&file, 0, all).map(|()| file));
        match filed {
            Ok(file) => *self = Self::Filed { file, written: all.len(), last: Vec::new() },
            Err(error) => {
                tracing::debug!(%error, "vaults' addresses stay in memory");
                *stay = true;
            }
        }
    }

    /// Takes them all back, because the file takes no more.
    fn unfile(&mut self) -> Result<(), ScanError> {
        let Self::Filed { file, written, last } = self else { return Ok(()) };
        let mut all = (0..*written).map(|at| read(file, at)).collect::<Result<Vec<_>, _>>()?;
        all.append(last);
        tracing::warn!("the temporary folder takes no more: vaults' addresses stay in memory");
        *self = Self::Memory { all, stay: true };
        Ok(())
    }
}

fn set(all: &mut Vec<[Address; 2]>, at: usize, pair: [Address; 2]) {
    match all.get_mut(at) {
        Some(place) => *place = pair,
        None => all.push(pair),
    }
}

fn offset(at: usize) -> u64 {
    u64::try_from(at * PAIR).unwrap_or(u64::MAX)
}

fn read(file: &File, at: usize) -> Result<[Address; 2], ScanError> {
    let mut bytes = [0; PAIR];
    file.read_exact_at(&mut bytes, offset(at)).map_err(ScanError::Filed)?;
    let (first, second) = bytes.split_at(PAIR / 2);
    let address = |half: &[u8]| half.try_into().map(Address::new_from_array).unwrap_or_default();
    Ok([address(first), address(second)])
}

fn write(file: &File, at: usize, pairs: &[[Address; 2]]) -> io::Result<()> {
    let bytes: Vec<u8> = pairs.iter().flatten().flat_map(Address::as_array).copied().collect();
    file.write_all_at(&bytes, offset(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(nth: u32) -> [Address; 2] {
        [0, 1].map(|second| {
            let mut bytes = [second; 32];
            bytes[..4].copy_from_slice(&nth.to_le_bytes());
            Address::new_from_array(bytes)
        })
    }

    fn filled(filed_from: usize, count: u32) -> Vaults {
        let mut vaults = Vaults { filed_from, ..Vaults::default() };
        for nth in 0..count {
            let owed = [i64::from(nth), -1];
            assert_eq!(vaults.add(RowId::new(nth * 3), pair(nth), owed).unwrap(), VaultsId(nth));
        }
        vaults
    }

    fn check(vaults: &Vaults, nth: u32) {
        assert_eq!(vaults.addresses(VaultsId(nth)).unwrap(), pair(nth));
        for (second, vault) in [false, true].into_iter().zip(pair(nth)) {
            assert_eq!(vaults.find(&vault), Some((RowId::new(nth * 3), second)));
        }
        assert_eq!(vaults.owed(VaultsId(nth)), [i64::from(nth), -1]);
    }

    #[test]
    fn vaults_are_found_wherever_their_addresses_lie() {
        for filed_from in [0, 1, 700, usize::MAX] {
            let mut vaults = filled(filed_from, 1_000);
            (0..1_000).for_each(|nth| check(&vaults, nth));
            // Runs within the file, beyond it and across its end, backwards and with a gap.
            for ids in
                [vec![0], (0..1_000).collect(), (690..710).collect(), vec![5, 4, 700, 8, 9, 999]]
            {
                let ids: Vec<VaultsId> = ids.into_iter().map(VaultsId).collect();
                let mut all = vec![Address::default()];
                vaults.addresses_of(&ids, &mut all).unwrap();
                let wanted = ids.iter().flat_map(|id| pair(id.0));
                assert!(all.into_iter().skip(1).eq(wanted), "filed from {filed_from}: {ids:?}");
            }
            let lost = vaults.addresses_of(&[VaultsId(999), VaultsId(1_000)], &mut Vec::new());
            assert!(lost.is_err(), "{lost:?}");
            assert_eq!(vaults.find(&pair(1_000)[0]), None);
            let filed = matches!(vaults.addresses, Addresses::Filed { .. });
            assert_eq!(filed, filed_from < 1_000);
            // One from the file and one of the last: their places are taken by others.
            for gone in [3, 998] {
                vaults.remove(VaultsId(gone));
                assert_eq!(pair(gone).map(|vault| vaults.find(&vault)), [None; 2]);
                let id = vaults.add(RowId::new(7), pair(5_000 + gone), [1, 2]).unwrap();
                assert_eq!(id, VaultsId(gone));
                assert_eq!(vaults.addresses(id).unwrap(), pair(5_000 + gone));
                assert_eq!(vaults.find(&pair(5_000 + gone)[1]), Some((RowId::new(7), true)));
            }
            vaults.shrink_to_fit();
            (0..1_000).filter(|nth| ![3, 998].contains(nth)).for_each(|nth| check(&vaults, nth));
        }
    }

    #[test]
    fn a_file_that_takes_no_more_gives_back_what_it_has() {
        for first in [100_u32, 300] {
            let mut vaults = filled(10, first);
            let Addresses::Filed { file, written, .. } = &mut vaults.addresses else { panic!() };
            // The same bytes, by a handle that refuses to write.
            let path = tempfile::NamedTempFile::new().unwrap();
            let mut copy = vec![0; *written * PAIR];
            file.read_exact_at(&mut copy, 0).unwrap();
            std::fs::write(path.path(), copy).unwrap();
            *file = File::open(path.path()).unwrap();
            for nth in first..first + 600 {
                vaults.add(RowId::new(nth * 3), pair(nth), [i64::from(nth), -1]).unwrap();
            }
            assert!(matches!(vaults.addresses, Addresses::Memory { stay: true, .. }));
            (0..first + 600).for_each(|nth| check(&vaults, nth));
        }
        let mut vaults = filled(10, 100);
        let Addresses::Filed { file, .. } = &mut vaults.addresses else { panic!() };
        *file = File::open(tempfile::NamedTempFile::new().unwrap().path()).unwrap();
        vaults.remove(VaultsId(4));
        let refused = vaults.add(RowId::new(9), pair(900), [0; 2]);
        assert!(matches!(refused, Err(ScanError::Filed(_))), "{refused:?}");
        // What failed changed nothing: the place is free for the next.
        assert_eq!(vaults.free, [VaultsId(4)]);
        assert_eq!(vaults.find(&pair(900)[0]), None);
    }

    #[test]
    fn the_addresses_of_many_pools_are_not_in_memory() {
        let many = |filed_from| filled(filed_from, 20_000).bytes() / 20_000;
        assert!(many(0) + 60 < many(usize::MAX), "{} and {}", many(0), many(usize::MAX));
        assert!(many(0) <= 80, "{} bytes a pool", many(0));
    }
}
