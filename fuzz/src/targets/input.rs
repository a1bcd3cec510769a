//! Reading a target's bytes, and the same written for the seeds.

use sniper_core::amm::Clock;
use sniper_core::ids::Address;
use sniper_core::units::{Atoms, Slot};

/// What is left of the bytes. What is not there reads as zero, so that every input means something.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a>(pub &'a [u8]);

/// The questions that an input brings.
pub const ASKS: usize = 3;

/// Slots are counted from here.
pub const SLOT: u64 = 1_000;

/// A question to a pool.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask {
    /// How much.
    pub amount: u64,
    /// When.
    pub now: i64,
    /// The clock's slot and epoch.
    pub slot: u32,
    /// Bit 0 gives the direction.
    pub flags: u8,
}

impl<'a> Input<'a> {
    /// A fixed number of bytes.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let taken = self.take(N);
        let mut out = [0; N];
        for (to, from) in out.iter_mut().zip(taken) {
            *to = *from;
        }
        out
    }

    /// At most `count` bytes.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A byte.
    pub fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.array())
    }

    /// Two bytes.
    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    /// Four bytes.
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// An address that one byte tells from others.
    pub fn address(&mut self) -> Address {
        Address::new_from_array([self.u8(); 32])
    }

    /// A question.
    pub fn ask(&mut self) -> Ask {
        let (amount, now) = (self.u64(), self.u64().cast_signed());
        Ask { amount, now, slot: self.u32(), flags: self.u8() }
    }
}

impl Ask {
    /// As [`Input::ask`] reads it.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = self.amount.to_le_bytes().to_vec();
        out.extend(self.now.to_le_bytes());
        out.extend(self.slot.to_le_bytes());
        out.push(self.flags);
        out
    }

    /// Gives mint 0 for mint 1.
    pub fn forward(&self) -> bool {
        self.flags & 1 == 1
    }

    /// How much.
    pub fn atoms(&self) -> Atoms {
        Atoms::new(self.amount)
    }

    /// When.
    pub fn clock(&self) -> Clock {
        Clock { now: self.now, slot: Slot::new(self.slot.into()), epoch: (self.slot >> 16).into() }
    }
}
