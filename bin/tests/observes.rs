//! Tests that the kernel programs only observe. The test reads the object that tcptop embeds, links it as aya does for
//! the kernel, and follows every path through every program.
//!
//! - Each path of each program returns 1, which lets the operation proceed.
//! - No program writes to its context, which has the fields of the packet, the socket, the address or the reply.
//! - No program reads more than two bytes of a packet at once. A header may begin at any multiple of two, and on CPUs
//!   that need aligned accesses (MIPS, RISC-V) the verifier refuses larger reads.
//! - Programs call only the kernel functions of a list. Each of these only reads, or only changes tcptop's own data.
//!
//! The verifier refuses other ways to change something. Programs of these types can write neither to the sockets that
//! kernel functions return nor to the bytes of a packet (net/core/filter.c `cg_skb_is_valid_access`,
//! kernel/bpf/verifier.c `may_access_direct_pkt_data`, v6.1).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use aya_obj::{Object, generated::bpf_insn};

#[path = "../src/bpf/hooks.rs"]
#[allow(dead_code, reason = "this test reads only the names of the programs")]
mod hooks;

/// The object that the build script has linked and stripped, before it packs it for the binary.
const OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tcptop-kern"));

/// Functions that programs may call, by their numbers in `enum bpf_func_id` (include/uapi/linux/bpf.h, v6.1).
const ALLOWED: [(i32, &str); 20] = [
    // These read.
    (1, "map_lookup_elem"),
    (14, "get_current_pid_tgid"),
    (15, "get_current_uid_gid"),
    (16, "get_current_comm"),
    (26, "skb_load_bytes"),
    (46, "get_socket_cookie"),
    (80, "get_current_cgroup_id"),
    (95, "sk_fullsock"),
    (96, "tcp_sock"),
    (118, "jiffies64"),
    (120, "get_ns_current_pid_tgid"),
    (125, "ktime_get_boot_ns"),
    // These change tcptop's own tables, ring and storage.
    (2, "map_update_elem"),
    (3, "map_delete_elem"),
    (93, "spin_lock"),
    (94, "spin_unlock"),
    (107, "sk_storage_get"),
    (130, "ringbuf_output"),
    (134, "ringbuf_query"),
    // This requests callbacks for a socket's states. All sock_ops programs then get them, but nothing else changes.
    (59, "sock_ops_cb_flags_set"),
];

/// The code of the instruction that ends a function.
const EXIT: u8 = 0x95;

/// The offsets of `data` and `data_end` in `struct __sk_buff` (include/uapi/linux/bpf.h). Other contexts have numbers
/// there. The test takes these for pointers too, which makes it only stricter.
const DATA: [i32; 2] = [76, 80];

/// What a register or a place in a stack may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Unknown,
    Constant(i32),
    Stack(Place),
    /// A pointer to an unknown place in a stack.
    Stacked,
    /// A pointer into a packet, on at least one path.
    Packet,
    /// A pointer to the context or into it, on at least one path.
    Context,
}

/// A place in a stack: the number of callers of the function that owns the stack, and the distance from the stack's
/// end.
type Place = (usize, i32);

impl Value {
    /// Returns what the value may be where two paths meet.
    fn or(self, other: Self) -> Self {
        use Value::{Context, Packet, Stack, Stacked, Unknown};
        match (self, other) {
            _ if self == other => self,
            (Context, _) | (_, Context) => Context,
            (Packet, _) | (_, Packet) => Packet,
            (Stack(_) | Stacked, _) | (_, Stack(_) | Stacked) => Stacked,
            _ => Unknown,
        }
    }

    /// Returns what the value may be after arithmetic with an unknown number.
    fn changed(self) -> Self {
        match self {
            Self::Context => Self::Context,
            Self::Packet => Self::Packet,
            Self::Stack(_) | Self::Stacked => Self::Stacked,
            Self::Unknown | Self::Constant(_) => Self::Unknown,
        }
    }
}

/// What the test knows before an instruction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    registers: [Value; 11],
    /// The places in stacks that may hold a pointer.
    spilled: BTreeMap<Place, Value>,
}

impl State {
    /// Returns the state in which a program begins.
    fn first() -> Self {
        let mut registers = [Value::Unknown; 11];
        registers[1] = Value::Context;
        registers[10] = Value::Stack((0, 0));
        Self { registers, spilled: BTreeMap::new() }
    }

    fn or(&self, other: &Self) -> Self {
        let registers = std::array::from_fn(|at| self.registers[at].or(other.registers[at]));
        let places = self.spilled.keys().chain(other.spilled.keys());
        let spilled = places.map(|place| (*place, self.at(*place).or(other.at(*place)))).collect();
        Self { registers, spilled }
    }

    /// Returns what a place may hold.
    fn at(&self, place: Place) -> Value {
        self.spilled.get(&place).copied().unwrap_or(Value::Unknown)
    }

    /// Returns the state in which a called function begins. `callers` is the number of callers of the calling function.
    fn called(&self, callers: usize) -> Self {
        let mut registers = [Value::Unknown; 11];
        registers[1..6].copy_from_slice(&self.registers[1..6]);
        registers[10] = Value::Stack((callers + 1, 0));
        Self { registers, spilled: self.spilled.clone() }
    }

    /// Returns the state after a call. `end` is the callee's last state: it may have used the first six registers, and
    /// written to any stack.
    fn returned(mut self, callers: usize, end: &Self) -> Self {
        self.registers[..6].fill(Value::Unknown);
        self.registers[0] = end.registers[0];
        self.spilled = end.spilled.clone();
        self.spilled.retain(|(stack, _), _| *stack <= callers);
        self
    }

    /// Returns the state after a call of a kernel function.
    fn helped(mut self) -> Self {
        self.registers[..6].fill(Value::Unknown);
        self
    }

    /// Returns what a load of 64 bits yields.
    fn load(&self, base: Value, offset: i32) -> Value {
        match base {
            Value::Stack((stack, end)) => self.at((stack, end + offset)),
            Value::Stacked => self.spilled.values().fold(Value::Unknown, |sum, value| sum.or(*value)),
            _ => Value::Unknown,
        }
    }

    /// Stores a value. The error says which rule the store breaks.
    fn store(&mut self, base: Value, offset: i32, value: Value) -> Result<(), &'static str> {
        let is_pointer = matches!(value, Value::Context | Value::Packet | Value::Stack(_) | Value::Stacked);
        match base {
            Value::Context => return Err("writes to the context"),
            Value::Packet => return Err("writes to the packet"),
            Value::Stack((stack, end)) if is_pointer => {
                self.spilled.insert((stack, end + offset), value);
            }
            // If a pointer was overwritten in part, the verifier does not let a program read it (kernel/bpf/verifier.c
            // `check_stack_read_fixed_off`, v6.1). Pointers lie at multiples of eight.
            Value::Stack((stack, end)) => {
                self.spilled.remove(&(stack, (end + offset).div_euclid(8) * 8));
            }
            Value::Stacked if is_pointer => return Err("hides a pointer from this test"),
            // To the verifier, a value that is read from other memory is no pointer.
            _ => {}
        }
        Ok(())
    }
}

/// A program. The instructions of the functions that it calls follow its own.
struct Program<'a> {
    name: &'a str,
    instructions: &'a [bpf_insn],
    /// The last state of each function, by its first instruction and the state there.
    ends: BTreeMap<(usize, State), State>,
    called: BTreeSet<i32>,
}

impl Program<'_> {
    fn fails(&self, at: usize, what: &str) -> ! {
        let Self { name, instructions, .. } = self;
        panic!("{name}, instruction {at} ({:?}): {what}", instructions[at]);
    }

    /// Follows all paths of the function that begins at `entry`, and of those that it calls. Returns its last state,
    /// which joins those of all paths.
    fn follow(&mut self, entry: usize, callers: usize, state: State) -> State {
        if let Some(end) = self.ends.get(&(entry, state.clone())) {
            return end.clone();
        }
        let mut end: Option<State> = None;
        let mut known: BTreeMap<usize, State> = BTreeMap::new();
        let mut ways = vec![(entry, state.clone())];
        while let Some((at, state)) = ways.pop() {
            let state = match known.get(&at) {
                Some(before) if before.or(&state) == *before => continue,
                Some(before) => before.or(&state),
                None => state,
            };
            known.insert(at, state.clone());
            if self.instructions[at].code == EXIT {
                if callers == 0 && state.registers[0] != Value::Constant(1) {
                    self.fails(at, &format!("returns {:?}", state.registers[0]));
                }
                end = Some(end.map_or(state.clone(), |end| end.or(&state)));
            } else {
                self.step(at, callers, state, &mut ways);
            }
        }
        let end = end.unwrap_or_else(|| self.fails(entry, "never ends"));
        self.ends.insert((entry, state), end.clone());
        end
    }

    /// Executes an instruction. Adds to `ways` the next instructions, each with its state.
    fn step(&mut self, at: usize, callers: usize, mut state: State, ways: &mut Vec<(usize, State)>) {
        let instruction = self.instructions[at];
        let (code, offset, immediate) = (instruction.code, i32::from(instruction.off), instruction.imm);
        let (to, from) = (usize::from(instruction.dst_reg()), usize::from(instruction.src_reg()));
        let target = |distance: i32| {
            (at + 1).checked_add_signed(distance as isize).expect("the target is within the program")
        };
        let source = state.registers[from];
        // The lower three bits are the class. Names are those of include/uapi/linux/bpf_common.h and bpf.h.
        match (code & 7, code) {
            // This load of 64 bits takes the room of two instructions.
            (0, 0x18) => {
                state.registers[to] = Value::Unknown;
                return ways.push((at + 2, state));
            }
            (0, _) => self.fails(at, "unknown to this test"),
            // BPF_LDX.
            (1, 0x61) if source == Value::Context && DATA.contains(&offset) => {
                state.registers[to] = Value::Packet;
            }
            // BPF_LDX of four and of eight bytes.
            (1, 0x61 | 0x79) if source == Value::Packet => {
                self.fails(at, "reads more than two bytes of a packet")
            }
            (1, 0x79) => state.registers[to] = state.load(source, offset),
            (1, _) => state.registers[to] = Value::Unknown,
            // BPF_ST and BPF_STX, with atomic operations.
            (2 | 3, _) => {
                let value = if code & 7 == 3 { source } else { Value::Unknown };
                let result = state.store(state.registers[to], offset, value);
                result.unwrap_or_else(|wrong| self.fails(at, wrong));
                if code & 0xe0 == 0xc0 {
                    state.registers[from] = Value::Unknown;
                    state.registers[0] = Value::Unknown;
                }
            }
            // BPF_MOV of a number, and of a register.
            (4 | 7, 0xb4 | 0xb7) => state.registers[to] = Value::Constant(immediate),
            (7, 0xbf) if offset == 0 => state.registers[to] = source,
            (4, 0xbc) if offset == 0 && matches!(source, Value::Constant(_)) => state.registers[to] = source,
            (4 | 7, 0xbc | 0xbf) => state.registers[to] = source.changed(),
            // BPF_ADD of a number.
            (7, 0x07) => {
                state.registers[to] = match state.registers[to] {
                    Value::Stack((stack, end)) => Value::Stack((stack, end + immediate)),
                    value => value.changed(),
                };
            }
            // Other arithmetic. If it has two registers, either may be a pointer.
            (4 | 7, _) => {
                let by = if code & 8 == 0 { Value::Unknown } else { source.changed() };
                state.registers[to] = state.registers[to].changed().or(by);
            }
            // BPF_CALL.
            (5, 0x85) => match from {
                0 => {
                    self.called.insert(immediate);
                    state = state.helped();
                }
                1 => {
                    let end = self.follow(target(immediate), callers + 1, state.called(callers));
                    state = state.returned(callers, &end);
                }
                _ => self.fails(at, "calls a function that is no helper"),
            },
            // BPF_JA.
            (5, 0x05) => return ways.push((target(offset), state)),
            (6, 0x06) => return ways.push((target(immediate), state)),
            // A conditional jump, which may also continue at the next instruction.
            _ => ways.push((target(offset), state.clone())),
        }
        ways.push((at + 1, state));
    }
}

/// Follows a program. Returns the numbers of the kernel functions that it calls.
fn follow(name: &str, instructions: &[bpf_insn]) -> BTreeSet<i32> {
    let mut program = Program { name, instructions, ends: BTreeMap::new(), called: BTreeSet::new() };
    program.follow(0, 0, State::first());
    program.called
}

#[test]
fn the_programs_let_everything_pass_and_change_nothing() {
    let mut object = Object::parse(OBJECT).expect("the build makes a valid object");
    let sections: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_calls(&sections).expect("aya does the same before it loads a program");
    let programs: BTreeSet<&str> = object.programs.keys().map(String::as_str).collect();
    let hooks: BTreeSet<&str> = hooks::HOOKS.iter().map(|hook| hook.program).collect();
    assert_eq!(
        programs, hooks,
        "left: the programs of kern/src/main.rs; right: the hooks of bin/src/bpf/hooks.rs"
    );
    let mut called = BTreeSet::new();
    for (name, program) in &object.programs {
        let instructions = &object.functions[&program.function_key()].instructions;
        for helper in follow(name, instructions) {
            let allowed = ALLOWED.iter().find(|(number, _)| *number == helper);
            let (_, name) = allowed.unwrap_or_else(|| panic!("{name} calls the kernel's function {helper}"));
            called.insert(*name);
        }
    }
    let unused: Vec<_> = ALLOWED.iter().filter(|(_, name)| !called.contains(name)).collect();
    assert!(unused.is_empty(), "the list allows functions that no program calls: {unused:?}");
}

/// Encodes an instruction.
fn instruction(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> bpf_insn {
    let registers = bpf_insn::new_bitfield_1(to, from);
    bpf_insn { code, _bitfield_align_1: [], _bitfield_1: registers, off: offset, imm: immediate }
}

/// Returns the message of the test about these instructions: (code, destination, source, offset, number). It is empty
/// if the test accepts them.
fn verdict(instructions: &[(u8, u8, u8, i16, i32)]) -> String {
    let instructions: Vec<_> = instructions
        .iter()
        .map(|(code, to, from, offset, immediate)| instruction(*code, *to, *from, *offset, *immediate))
        .collect();
    let result = std::panic::catch_unwind(|| drop(follow("made up", &instructions)));
    result.err().map_or_else(String::new, |error| error.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[test]
fn each_violation_is_found() {
    let (set, exit) = ((0xb7, 0, 0, 0, 1), (EXIT, 0, 0, 0, 0));
    assert_eq!(verdict(&[set, exit]), "");
    assert!(verdict(&[(0xb7, 0, 0, 0, 0), exit]).ends_with("returns Constant(0)"));
    // One of two paths is wrong. If r1 == 0, the program jumps over `set`.
    assert!(verdict(&[(0xb7, 0, 0, 0, 0), (0x15, 1, 0, 1, 0), set, exit]).ends_with("returns Unknown"));
    // The program returns what a kernel function returned.
    assert!(verdict(&[set, (0x85, 0, 0, 0, 14), exit]).ends_with("returns Unknown"));
    // The program writes to the context by a copy of the pointer, and by one that it has loaded from the stack.
    let write = |register| (0x63, register, 0, 8, 0);
    assert!(
        verdict(&[set, (0xbf, 6, 1, 0, 0), (0x07, 6, 0, 0, 4), write(6), exit])
            .ends_with("writes to the context")
    );
    let (spill, fill) = ((0x7b, 10, 1, -8, 0), (0x79, 7, 10, -8, 0));
    assert!(verdict(&[set, spill, fill, write(7), exit]).ends_with("writes to the context"));
    assert_eq!(
        verdict(&[set, spill, (0x7a, 10, 0, -8, 0), fill, write(7), exit]),
        "",
        "the place in the stack holds 0 by then"
    );
    // The program reads two and four bytes of a packet, by the pointer in the context.
    let packet = [set, (0x61, 2, 1, 76, 0), (0x07, 2, 0, 0, 12)];
    let reads = |code| verdict(&[packet[0], packet[1], packet[2], (code, 3, 2, 0, 0), exit]);
    assert_eq!(reads(0x69), "");
    assert!(reads(0x61).ends_with("reads more than two bytes of a packet"));
    // A function gets the context. It may return something other than the program does.
    let call = (0x85, 0, 1, 0, 2);
    assert!(verdict(&[call, set, exit, write(1), exit]).ends_with("writes to the context"));
    assert_eq!(verdict(&[call, set, exit, (0xb7, 0, 0, 0, 7), exit]), "");
    // A function stores the context in its caller's stack.
    let place = [(0xbf, 2, 10, 0, 0), (0x07, 2, 0, 0, -16)];
    let leaves = (0x7b, 2, 1, 0, 0);
    let takes = (0x79, 7, 10, -16, 0);
    let caller = [place[0], place[1], (0x85, 0, 1, 0, 4), takes, write(7), set, exit, leaves, exit];
    assert!(verdict(&caller).ends_with("writes to the context"), "{}", verdict(&caller));
    assert!(verdict(&[(0x85, 0, 2, 0, 9), set, exit]).ends_with("no helper"));
}
