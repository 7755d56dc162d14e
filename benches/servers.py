"""What the scripts here share: a server process on a free port, its figures, pipelined commands. Measures nothing."""
import os, shlex, shutil, socket, subprocess, sys, tempfile, time

TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def threads_of(pid):
    """The threads of a server: those that run commands, and the others."""
    threads = {True: [], False: []}
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/comm") as f:
                name = f.read().strip()
        except OSError:
            continue  # it has ended
        threads[name.startswith("pinion-") and name[7:].isdigit() or thread == str(pid)].append(int(thread))
    return threads[True], threads[False]


def to_real_time(pid, others_cpu=None):
    """Gives the threads that run commands real-time priority, and not what they start; the others may move."""
    own, others = threads_of(pid)
    for thread in own:
        subprocess.run(["chrt", "-R", "-f", "-p", "40", str(thread)], check=True)
    for thread in others if others_cpu is not None else []:
        os.sched_setaffinity(thread, [others_cpu])


class Server:
    """One server process, in a directory of its own so that it finds nobody's data, that ends with stop()."""

    def __init__(self, template, cpu):
        self.dir, self.port = tempfile.mkdtemp(prefix="compare-"), free_port()
        command = template.replace("{port}", str(self.port)).replace("{dir}", self.dir)
        self.log = open(os.path.join(self.dir, "server.log"), "w+")
        pin = ["taskset", "-c", str(cpu)] if cpu != -1 else []
        words = [os.path.abspath(word) if "/" in word and os.path.exists(word) else word for word in shlex.split(command)]
        self.process = subprocess.Popen(pin + words, stdout=self.log, stderr=subprocess.STDOUT, cwd=self.dir)
        for _ in range(400):
            if self.process.poll() is not None:
                break
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                    s.settimeout(1)
                    s.sendall(b"PING\r\n")
                    if s.recv(64).startswith(b"+"):
                        return
            except OSError:
                pass
            time.sleep(0.05)
        self.log.seek(0)
        text = self.log.read()[-2000:]
        self.stop()
        sys.exit(f"{command}\nis not ready:\n{text}")

    def cpu_us(self):
        """User and system time of the process."""
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * TICK_US

    def rss(self):
        """Resident bytes of the process."""
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS"))

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def encode(*words):
    """A command as clients send it; numbers and texts become bytes."""
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


class Client:
    """A connection that sends commands and reads replies (RESP2)."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb", 1 << 16)

    def __call__(self, *words):
        self.socket.sendall(encode(*words))
        return self.reply()

    def reply(self):
        """The next reply: bytes, a number, None or a list; an error ends the script."""
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            size = int(rest)
            return None if size < 0 else self.file.read(size + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.reply() for _ in range(int(rest))]
        sys.exit(f"the server answers {line!r}")

    def pipeline(self, commands, count, at_once=1000):
        """Sends `count` encoded commands, each of which has a short reply, and waits for all replies."""
        commands = iter(commands)
        for first in range(0, count, at_once):
            here = min(at_once, count - first)
            self.socket.sendall(b"".join(next(commands) for _ in range(here)))
            for _ in range(here):
                line = self.file.readline()
                if not line or line.startswith(b"-"):
                    sys.exit(f"the server answers {line!r}")
                if line.startswith(b"$") and line != b"$-1\r\n":
                    self.file.readline()
