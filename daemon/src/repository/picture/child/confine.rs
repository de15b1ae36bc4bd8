//! What a child gives up before it reads a stranger's content.
//!
//! Owns the limits, the file system's and the network's removal (landlock) and the list of system
//! calls that decoding needs (seccomp; any other ends the process). Called once, by a process with
//! one thread. What the system does not know is left out and told to the parent: the limits hold
//! everywhere.

use std::io;

use crate::repository::picture::message::Confinement;

/// Memory of the whole process: its program, the content, and what a decoder needs for it.
const MEMORY_BYTES: u64 = 256 * 1024 * 1024;

/// Seconds of the processor. What an honest image of 100 megapixels takes, twice.
const CPU_SECONDS: u64 = 5;

/// Takes everything away that decoding does not need.
///
/// # Errors
/// What the system says where a limit cannot be set: then there must be no decoding.
pub(super) fn confine() -> io::Result<Confinement> {
    #[cfg(not(target_os = "linux"))]
    let (files, calls) = (false, false);
    // A ruleset is a descriptor: no more can be had behind the limits.
    #[cfg(target_os = "linux")]
    let files = linux::leave_files();
    #[cfg(unix)]
    limit()?;
    // Last: limits are system calls.
    #[cfg(target_os = "linux")]
    let calls = linux::leave_calls();
    Ok(Confinement { files, calls })
}

#[cfg(unix)]
fn limit() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let most = [
        #[cfg(target_os = "linux")]
        (Resource::As, MEMORY_BYTES),
        (Resource::Data, MEMORY_BYTES),
        (Resource::Cpu, CPU_SECONDS),
        // The three that it has are below it: none can be opened.
        (Resource::Nofile, 3),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
    ];
    for (resource, most) in most {
        // Never above what this process was given itself.
        let most = getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
        // At the soft limit of time SIGXCPU tells why it ended; the hard one is SIGKILL's.
        let hard = most + u64::from(resource == Resource::Cpu);
        let limit = Rlimit { current: Some(most), maximum: Some(hard) };
        setrlimit(resource, limit).or_else(|_| {
            setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
        })?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;

    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, RestrictionStatus, Ruleset, RulesetAttr as _,
        RulesetError, RulesetStatus, Scope,
    };
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Is, SeccompCondition,
        SeccompFilter, SeccompRule, TargetArch,
    };

    /// The newest that is asked for; an older kernel gives what it has.
    const KNOWN: ABI = ABI::V6;

    /// Whether the file system is gone (older kernels leave the network and other processes' signals).
    pub(super) fn leave_files() -> bool {
        let restrict = || -> Result<RestrictionStatus, RulesetError> {
            Ruleset::default()
                .handle_access(AccessFs::from_all(KNOWN))?
                .handle_access(AccessNet::from_all(KNOWN))?
                .scope(Scope::from_all(KNOWN))?
                .create()?
                .restrict_self()
        };
        restrict().is_ok_and(|status| status.ruleset != RulesetStatus::NotEnforced)
    }

    /// Whether the system calls are gone.
    pub(super) fn leave_calls() -> bool {
        let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else { return false };
        // glibc asks for threads by clone3, whose flags lie in memory where no filter can read
        // them, and by clone where there is none. The stricter word of two filters holds.
        let missing = SeccompAction::Errno(libc::ENOSYS as u32);
        let no_clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        let filters = [
            SeccompFilter::new(no_clone3, SeccompAction::Allow, missing, arch),
            allowed().and_then(|rules| {
                SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch)
            }),
        ];
        filters.into_iter().all(|filter| {
            filter
                .and_then(BpfProgram::try_from)
                .is_ok_and(|program| seccompiler::apply_filter(&program).is_ok())
        })
    }

    type Rules = BTreeMap<i64, Vec<SeccompRule>>;

    /// Memory, threads of this process, its own end; reading of stdin, writing to stdout and
    /// stderr. Nothing that names a file, another process or the network.
    fn allowed() -> Result<Rules, seccompiler::BackendError> {
        let only = |argument, length, is, value| -> Result<SeccompRule, _> {
            SeccompRule::new(vec![SeccompCondition::new(argument, length, is, value)?])
        };
        let mut rules: Rules = [
            libc::SYS_brk,
            libc::SYS_munmap,
            libc::SYS_mremap,
            libc::SYS_madvise,
            libc::SYS_futex,
            libc::SYS_clone3,
            libc::SYS_set_robust_list,
            libc::SYS_rseq,
            libc::SYS_sigaltstack,
            libc::SYS_rt_sigaction,
            libc::SYS_rt_sigprocmask,
            libc::SYS_rt_sigreturn,
            libc::SYS_sched_getaffinity,
            libc::SYS_sched_yield,
            libc::SYS_clock_gettime,
            libc::SYS_gettimeofday,
            libc::SYS_restart_syscall,
            libc::SYS_getrandom,
            libc::SYS_getpid,
            libc::SYS_gettid,
            libc::SYS_exit,
            libc::SYS_exit_group,
        ]
        .into_iter()
        .map(|call| (call, Vec::new()))
        .collect();

        let flag = |flag: i32| flag as u64;
        let no_code = Is::MaskedEq(flag(libc::PROT_EXEC));
        let anonymous = flag(libc::MAP_ANONYMOUS);
        // No memory of files, and none that can be run.
        let mmap = SeccompRule::new(vec![
            SeccompCondition::new(2, Len::Dword, no_code.clone(), 0)?,
            SeccompCondition::new(3, Len::Dword, Is::MaskedEq(anonymous), anonymous)?,
        ])?;
        rules.insert(libc::SYS_mmap, vec![mmap]);
        rules.insert(libc::SYS_mprotect, vec![only(2, Len::Dword, no_code, 0)?]);
        // Threads: jpeg-decoder has one for each colour of a larger picture. No processes.
        let thread = flag(libc::CLONE_THREAD);
        rules.insert(libc::SYS_clone, vec![only(0, Len::Qword, Is::MaskedEq(thread), thread)?]);
        rules.insert(libc::SYS_prctl, vec![only(0, Len::Dword, Is::Eq, flag(libc::PR_SET_NAME))?]);
        // What has no memory left ends itself so.
        let me = std::process::id().into();
        rules.insert(libc::SYS_tgkill, vec![only(0, Len::Dword, Is::Eq, me)?]);
        // Unoptimised programs look whether a descriptor that they close is one.
        rules.insert(libc::SYS_fcntl, vec![only(1, Len::Dword, Is::Eq, flag(libc::F_GETFD))?]);
        // Whatever else it was left by a careless program that started the daemon.
        rules.insert(libc::SYS_read, vec![only(0, Len::Dword, Is::Eq, 0)?]);
        let out = [1, 2].map(|descriptor| only(0, Len::Dword, Is::Eq, descriptor));
        rules.insert(libc::SYS_write, out.into_iter().collect::<Result<_, _>>()?);
        Ok(rules)
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;
    use std::net::TcpStream;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, ExitStatus, Stdio};

    use rustix::process::Signal;

    use super::*;

    /// Runs one of the tests below that give something up, in a process of its own.
    fn run(act: &str) -> ExitStatus {
        let name = format!("repository::picture::child::confine::tests::acts::{act}");
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &name, "--include-ignored", "--nocapture"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
    }

    #[test]
    fn no_file_is_left_to_be_opened_by_landlock_alone() {
        assert!(run("opens_without_files").success());
    }

    #[test]
    fn the_limits_alone_hold_memory_and_files() {
        assert!(run("allocates_and_opens_at_the_limits").success());
    }

    #[test]
    fn what_decoding_does_not_need_ends_the_process() {
        let acts = ["opens", "reads_what_was_left_open", "connects", "forks", "kills"];
        for act in acts {
            assert_eq!(run(act).signal(), Some(Signal::SYS.as_raw()), "{act}");
        }
    }

    #[test]
    fn what_decoding_needs_is_left() {
        assert!(run("computes").success());
    }

    /// Not tests of their own: each gives up what its process has.
    mod acts {
        use super::*;

        #[test]
        #[ignore = "run by another, in a process of its own"]
        fn opens_without_files() {
            assert!(linux::leave_files());
            let refused = File::open("/proc/self/status").unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
            let refused = TcpStream::connect(("127.0.0.1", 1)).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        }

        #[test]
        #[ignore = "run by another, in a process of its own"]
        fn allocates_and_opens_at_the_limits() {
            limit().unwrap();
            let mut bytes: Vec<u8> = Vec::new();
            assert!(bytes.try_reserve_exact(MEMORY_BYTES as usize).is_err());
            let refused = File::open("/proc/self/status").unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::EMFILE));
        }

        #[test]
        #[ignore = "run by another, in a process of its own"]
        fn opens() {
            assert!(linux::leave_calls());
            let _ = File::open("/proc/self/status");
        }

        #[test]
        #[ignore = "run by another, in a process of its own"]
        fn reads_what_was_left_open() {
            let mut open = File::open("/proc/self/status").unwrap();
            assert!(linux::leave_calls());
            let _ = open.read(&mut [0]);
        }

        #[test]
        #[ignore = "run by another, in a process of its own"]
        fn connects() {
            assert!(linux::leave_calls());
            let _ = TcpStream::connect(("127.0.0.1", 1));
        }

        #[test]
        #[ignore = "run by another, in a process of its own"]
        fn forks() {
            assert!(linux::leave_calls());
            let _ = Command::new("/bin/true").spawn();
        }

        #[test]
        #[ignore = "run by another, in a process of its own"]
        fn kills() {
            assert!(linux::leave_calls());
            let parent = rustix::process::getppid().unwrap();
            let _ = rustix::process::kill_process(parent, Signal::USR1);
        }

        #[test]
        #[ignore = "run by another, in a process of its own"]
        fn computes() {
            assert!(linux::leave_calls());
            let threads: Vec<_> = (0..3u64)
                .map(|n| std::thread::spawn(move || vec![n; 1 << 20].iter().sum::<u64>()))
                .collect();
            for (n, thread) in (0..3u64).zip(threads) {
                assert_eq!(thread.join().unwrap(), n << 20);
            }
        }
    }
}
