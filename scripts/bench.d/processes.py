"""Child processes: starting and ending them, their output, their CPU time, memory, descriptors and system calls.

A child leads a session of its own and does not outlive this program. What a child does is not known here.
"""

import contextlib
import ctypes
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


class Failure(Exception):
    """A measurement, not the run, has failed."""


def die(text):
    """Ends the run; context managers still clean up."""
    print(f"bench: {text}", file=sys.stderr)
    raise SystemExit(2)


def progress(text):
    print(text, file=sys.stderr, flush=True)


def prepare():
    """Called once: signals unwind the run, orphans are reaped here, and children may open all descriptors."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, on_signal)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def on_signal(signum, frame):
    # An exception unwinds all context managers, and with them goes every child, namespace and file.
    signal.signal(signum, signal.SIG_IGN)
    raise SystemExit(128 + signum)


def die_with_parent():
    """Runs in a child before exec."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def child(command, log, **options):
    """A process in a session of its own. At the end all processes of the session are ended and reaped."""
    with open(log, "wb") as log_file:
        process = subprocess.Popen(
            command,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=options.pop("stdout", log_file),
            stderr=log_file,
            start_new_session=True,
            preexec_fn=die_with_parent,
            **options,
        )
    try:
        yield process
    finally:
        end_session(process)
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()


def end_session(process):
    # The group may be gone already if the process ended by itself.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1)
    deadline = time.monotonic() + 5
    while session_pids(process.pid) and time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(0.01)
    process.wait()
    # Descendants that lost their parent are children of this program now.
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-process.pid, os.WNOHANG)[0] != 0:
            pass


def run(command, timeout, **options):
    """Runs a command to its end. Returns its output, stdout and stderr together; a failure raises Failure."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            preexec_fn=die_with_parent,
            **options,
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"not finished after {timeout:.0f} s") from None
    if done.returncode != 0:
        raise Failure(last_line(done.stdout) or f"{command[0]}: exit status {done.returncode}")
    return done.stdout


def last_line(text):
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""


def read_line(stream, timeout):
    """One line of a child's output, or a Failure."""
    fd, end, line = stream.fileno(), time.monotonic() + timeout, b""
    os.set_blocking(fd, False)
    while not line.endswith(b"\n"):
        if time.monotonic() > end:
            raise Failure(f"no answer within {timeout:.0f} s")
        piece = None
        with contextlib.suppress(BlockingIOError):
            piece = os.read(fd, 4096)
        if piece == b"":
            raise Failure("ended early")
        if piece is None:
            time.sleep(0.005)
        else:
            line += piece
    return line.decode()


def settled(read):
    """What read() returns, once it has returned the same for 0.2 s: a server tells nobody that it has ended a session,
    or that it has given back what the session had."""
    value, since = read(), time.monotonic()
    deadline = since + 10
    while time.monotonic() < since + 0.2:
        if time.monotonic() > deadline:
            raise Failure("does not come to rest")
        time.sleep(0.01)
        now = read()
        if now != value:
            value, since = now, time.monotonic()
    return value


def stat_fields(pid):
    # The command name is in parentheses and may hold spaces; proc(5) numbers the field behind it 3.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def session_pids(leader):
    """The living processes of a session."""
    pids = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            fields = stat_fields(entry)
            if int(fields[3]) == leader and fields[0] != "Z":
                pids.append(int(entry))
    return pids


def cpu_seconds(leader):
    """The CPU time of a session, user and system."""
    ticks = 0
    for pid in session_pids(leader):
        with contextlib.suppress(OSError):
            # utime, stime, and those of reaped children: with a process per client nothing is missed.
            ticks += sum(int(field) for field in stat_fields(pid)[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_and_fds(leader):
    """The anonymous memory of a session in KiB, and its number of descriptors."""
    kib = fds = 0
    for pid in session_pids(leader):
        with contextlib.suppress(OSError):
            kib += int(re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])
            fds += len(os.listdir(f"/proc/{pid}/fd"))
    return kib, fds


def asleep(leader):
    """Whether every thread of a session waits in a system call."""
    with contextlib.suppress(OSError):
        tasks = [f"{pid}/task/{task}" for pid in session_pids(leader) for task in os.listdir(f"/proc/{pid}/task")]
        return all(stat_fields(task)[0] == "S" for task in tasks)
    return False


def watched(fdinfo):
    """The number of descriptors in an epoll instance, of its text in /proc/PID/fdinfo (proc(5)); 0: not an instance."""
    return sum(line.startswith("tfd:") for line in fdinfo.splitlines())


def epoll_sizes(leader):
    """The number of descriptors in each epoll instance of a session: {(pid, descriptor): number}."""
    sizes = Counter()
    for pid in session_pids(leader):
        with contextlib.suppress(OSError):
            for descriptor in os.listdir(f"/proc/{pid}/fdinfo"):
                with contextlib.suppress(OSError):  # closed in the meantime
                    sizes[pid, descriptor] = watched(Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text())
    return sizes


@contextlib.contextmanager
def traced(pids, directory):
    """Runs strace on processes and all their threads. Yields a function that returns system_calls() so far."""
    trace, log = directory / "trace", directory / "strace.log"
    trace.write_text("")
    options = [word for pid in pids for word in ("-p", str(pid))]
    with child(["strace", "-f", "-s", "0", "-o", str(trace), *options], log) as process:
        deadline = time.monotonic() + 10
        while log.read_text().count(" attached") < len(pids):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failure(last_line(log.read_text()) or "strace does not attach")
            time.sleep(0.005)
        yield lambda: system_calls(trace.read_text(errors="replace"))


def system_calls(trace):
    """The calls that have returned, of what strace -f wrote: a Counter of (thread, name, error); no error is empty."""
    calls = Counter()
    for line in trace.splitlines():
        found = re.fullmatch(r"(\d+) +(?:(\w+)\(|<\.\.\. (\w+) resumed>).*\) += (.*)", line)
        if found:
            thread, name, resumed, result = found.groups()
            calls[thread, name or resumed, result.split()[1] if result.startswith("-1 ") else ""] += 1
    return calls
