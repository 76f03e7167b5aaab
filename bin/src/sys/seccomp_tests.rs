use super::*;

const OURS: u32 = 0xc000_003e;
const ALLOWED: u32 = libc::SECCOMP_RET_ALLOW;
const NOT_THERE: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.cast_unsigned();
const NOT_SO: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned();

/// Runs a filter as the kernel does (net/core/filter.c `bpf_prog_run`), with the instructions that are used here.
fn run(program: &[libc::sock_filter], architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let mut data = [number.to_ne_bytes(), architecture.to_ne_bytes(), [0; 4], [0; 4]].concat();
    data.extend(arguments.iter().flat_map(|argument| argument.to_ne_bytes()));
    let (mut at, mut value) = (0, 0);
    loop {
        let libc::sock_filter { code, jt, jf, k } = program[at];
        at += 1;
        match code {
            LOAD => {
                let from = k as usize;
                value = u32::from_ne_bytes(data[from..from + 4].try_into().expect("four bytes"));
            }
            AND => value &= k,
            JUMP_IF_EQUAL => at += usize::from(if value == k { jt } else { jf }),
            RETURN => return k,
            code => panic!("{code:#x}"),
        }
    }
}

const RULES: [Rule; 4] =
    [Rule::any(0), Rule::with(41, 0, u32::MAX, &[16]), Rule::with(2, 1, 3, &[0, 2]), Rule::any(231)];

#[test]
fn what_a_list_allows() {
    let program = program(OURS, RULES.into_iter(), Refusal::Error);
    let run = |number, arguments| run(&program, OURS, number, arguments);
    let none = [0; 6];
    assert_eq!((run(0, none), run(231, none)), (ALLOWED, ALLOWED));
    assert_eq!((run(1, none), run(59, none), run(u32::MAX, none)), (NOT_THERE, NOT_THERE, NOT_THERE));
    // The filter compares only the lower half of one argument.
    assert_eq!((run(41, [16, 7, 7, 0, 0, 0]), run(41, [1 << 32 | 16, 0, 0, 0, 0, 0])), (ALLOWED, ALLOWED));
    assert_eq!((run(41, none), run(41, [2, 16, 0, 0, 0, 0])), (NOT_SO, NOT_SO));
    let open = [0u64, 1, 2, 3, 0x8000, 0x8001].map(|flags| run(2, [0, flags, 0, 0, 0, 0]));
    assert_eq!(open, [ALLOWED, NOT_SO, ALLOWED, NOT_SO, ALLOWED, NOT_SO]);
}

#[test]
fn calls_of_another_architecture_are_refused() {
    let program = program(OURS, RULES.into_iter(), Refusal::Error);
    for architecture in [0x4000_0003, 0, 231, u32::MAX] {
        assert_eq!(run(&program, architecture, 0, [16; 6]), NOT_THERE);
    }
    // This is a call of x32.
    assert_eq!(run(&program, OURS, 0x4000_0000, [0; 6]), NOT_THERE);
}

#[test]
fn a_test_sees_what_is_refused() {
    let program = program(OURS, RULES.into_iter(), Refusal::Death);
    let killed = libc::SECCOMP_RET_KILL_PROCESS;
    assert_eq!((run(&program, OURS, 1, [0; 6]), run(&program, OURS, 41, [0; 6])), (killed, killed));
    assert_eq!(run(&program, OURS, 41, [16; 6]), ALLOWED);
}
