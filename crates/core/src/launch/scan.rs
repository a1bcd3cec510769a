//! The lines of one transaction.

use arrayvec::ArrayVec;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::ids::Address;
use crate::launch::event::{self, Unreadable};
use crate::launch::{Detected, Fetch, Launch, Program, Stage, Why};

/// Deepest nesting taken for one: the runtime allows fewer.
const DEPTH_MAX: usize = 16;
/// Longest event decoded: the runtime prints ten thousand bytes of a transaction at most.
const EVENT_MAX: usize = 8 << 10;

/// An invocation under way.
struct Frame<'a> {
    id: &'a str,
    program: Option<Program>,
    /// It said that it makes a pool, and has not told all of it: why not.
    owes: Option<Why>,
    /// What follows of what it did tell.
    pool: Option<Address>,
}

/// Adds what the log lines of a transaction tell of new pools, in order; `succeeded` is whether it landed without an
/// error. A transaction that failed has made nothing, whatever it printed.
///
/// A pool that a coin moves to is told of twice, by both programs: it comes out once, as [`Stage::Migrated`].
pub fn scan<L: AsRef<str>>(logs: &[L], succeeded: bool, found: &mut Vec<Detected>) {
    if !succeeded {
        return;
    }
    let before = found.len();
    let mut scan = Scan { stack: ArrayVec::new(), bytes: Vec::new(), found, before };
    for line in logs {
        match scan.line(line.as_ref()) {
            Next::Line => {}
            Next::Failed => {
                // No invocation fails without the whole transaction.
                scan.found.truncate(before);
                return;
            }
            Next::Stop(why) => {
                let program = scan.stack.iter().rev().find_map(|frame| frame.program);
                scan.push(Fetch { program, pool: None, why });
                return;
            }
        }
    }
    if !scan.stack.is_empty() {
        let program = scan.stack.iter().rev().find_map(|frame| frame.program);
        scan.push(Fetch { program, pool: None, why: Why::Unbalanced });
    }
}

enum Next {
    Line,
    Failed,
    Stop(Why),
}

struct Scan<'a, 'f> {
    stack: ArrayVec<Frame<'a>, DEPTH_MAX>,
    bytes: Vec<u8>,
    found: &'f mut Vec<Detected>,
    before: usize,
}

impl<'a> Scan<'a, '_> {
    fn line(&mut self, line: &'a str) -> Next {
        // What programs print first: they choose what follows the prefix, and must not be taken for the runtime.
        if let Some(text) = line.strip_prefix("Program log: ") {
            self.printed(text);
        } else if let Some(data) = line.strip_prefix("Program data: ") {
            self.data(data);
        } else if line == "Log truncated" {
            return Next::Stop(Why::Truncated);
        } else if let Some(rest) = line.strip_prefix("Program ") {
            return self.runtime(rest);
        }
        Next::Line
    }

    /// A line of the runtime's own.
    fn runtime(&mut self, rest: &'a str) -> Next {
        let Some((id, what)) = rest.split_once(' ') else { return Next::Line };
        if what == "success" {
            return match self.stack.pop() {
                Some(frame) if frame.id == id => {
                    self.ended(&frame);
                    Next::Line
                }
                _ => Next::Stop(Why::Unbalanced),
            };
        }
        if what.starts_with("failed") {
            return Next::Failed;
        }
        let Some(depth) = what.strip_prefix("invoke [").and_then(|rest| rest.strip_suffix(']'))
        else {
            return Next::Line; // units consumed, data returned
        };
        let program = Program::ALL.into_iter().find(|program| program.text() == id);
        let frame = Frame { id, program, owes: None, pool: None };
        let deeper = self.stack.len().checked_add(1);
        if depth.parse().ok() != deeper || self.stack.try_push(frame).is_err() {
            return Next::Stop(Why::Unbalanced);
        }
        Next::Line
    }

    /// A text that the innermost program printed.
    fn printed(&mut self, text: &str) {
        let Some(frame) = self.stack.last_mut() else { return };
        let Some(program) = frame.program else { return };
        if is_creation(program, text) {
            frame.owes = Some(Why::Silent);
        } else if let (Program::AmmV4, Some(log)) = (program, text.strip_prefix("ray_log: ")) {
            match decode(log, &mut self.bytes).and_then(event::ray_log) {
                Ok(None) => {}
                Ok(pool) => {
                    frame.owes = Some(Why::Silent);
                    frame.pool = pool;
                }
                Err(Unreadable) => frame.owes = Some(Why::Unreadable),
            }
        }
    }

    /// Bytes that the innermost program printed.
    fn data(&mut self, text: &str) {
        let Some(program) = self.stack.last().and_then(|frame| frame.program) else { return };
        let read = match program {
            Program::PumpFun => event::pump_fun,
            Program::PumpSwap => event::pump_swap,
            Program::Clmm => event::clmm,
            // They print no event that tells of a new pool.
            Program::AmmV4 | Program::Cpmm => return,
        };
        let Some(frame) = self.stack.last_mut() else { return };
        match decode(text, &mut self.bytes).and_then(read) {
            Ok(None) => {}
            Ok(Some(launch)) => {
                frame.owes = None;
                self.launch(launch);
            }
            Err(Unreadable) => frame.owes = Some(Why::Unreadable),
        }
    }

    fn ended(&mut self, frame: &Frame<'_>) {
        if let Some(why) = frame.owes {
            self.push(Fetch { program: frame.program, pool: frame.pool, why });
        }
    }

    fn push(&mut self, fetch: Fetch) {
        self.found.push(Detected::Fetch(fetch));
    }

    fn launch(&mut self, launch: Launch) {
        let known = self.found.iter_mut().skip(self.before).find_map(|found| match found {
            Detected::Launch(known) if known.pool == launch.pool => Some(known),
            _ => None,
        });
        match known {
            // The pool's own program tells more; the other one, that it is a coin's that left its curve.
            Some(known) if launch.stage == Stage::Migrated => known.stage = Stage::Migrated,
            Some(known) if known.stage == Stage::Migrated && launch.stage == Stage::Created => {
                *known = Launch { stage: Stage::Migrated, ..launch };
            }
            _ => self.found.push(Detected::Launch(launch)),
        }
    }
}

/// Whether a program says by this that it makes a pool.
fn is_creation(program: Program, text: &str) -> bool {
    match (program, text.strip_prefix("Instruction: ")) {
        (Program::PumpFun, Some("Create" | "CreateV2" | "Migrate" | "MigrateV2"))
        | (Program::PumpSwap, Some("CreatePool"))
        | (Program::Cpmm, Some("Initialize" | "InitializeWithPermission"))
        | (
            Program::Clmm,
            Some("CreatePool" | "CreateCustomizablePool" | "CreatePermissionedPool"),
        ) => true,
        (Program::AmmV4, None) => text.starts_with("initialize2: "),
        _ => false,
    }
}

/// The first field of printed bytes; an event has only one. What is not base64 was not printed by an Anchor program.
fn decode<'b>(text: &str, bytes: &'b mut Vec<u8>) -> Result<&'b [u8], Unreadable> {
    bytes.clear();
    let field = text.split(' ').next().unwrap_or_default();
    if field.len() > EVENT_MAX {
        return Err(Unreadable);
    }
    STANDARD.decode_vec(field, bytes).map_err(|_| Unreadable)?;
    Ok(bytes)
}
