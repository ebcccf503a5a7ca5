//! Runs the real programs: a server on a free port with a data folder of its own, and clients against it.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub mod audit;
pub mod custom;
pub mod delay;
pub mod ground;
pub mod knock;
pub mod load;
pub mod looks;
pub mod model;
pub mod peer;
pub mod pty;
pub mod tls;
pub mod trace;
pub mod verbs;
pub mod wire;

/// The password of every account made here.
pub const PASSWORD: &str = "correct horse";
/// How long anything here may take before it counts as hung.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The folder of the built programs. `cargo test` builds no binaries of other packages, so the first caller does.
static BINARIES: LazyLock<PathBuf> = LazyLock::new(|| {
    let test = std::env::current_exe().unwrap_or_default();
    let folder = test.ancestors().nth(2).map(Path::to_owned).unwrap_or_default();
    let mut build = Command::new(env!("CARGO"));
    without_package(&mut build);
    build.args(["build", "--quiet", "--workspace", "--bins"]);
    if folder.ends_with("release") {
        build.arg("--release");
    }
    let built = build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).status();
    assert!(built.is_ok_and(|status| status.success()), "the programs must build");
    folder
});

/// Takes away what cargo tells a test of its package. Build scripts look at some of it, so a cargo called by a test would build their crates
/// and all above them anew, and so would the next one that is called by hand.
pub fn without_package(command: &mut Command) {
    let told = [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_CRATE_",
        "CARGO_BIN_",
        "CARGO_PRIMARY_",
    ];
    for (name, _) in std::env::vars_os() {
        if told.iter().any(|start| name.to_string_lossy().starts_with(start)) {
            command.env_remove(name);
        }
    }
}

/// The path of one of our programs.
pub fn program(name: &str) -> PathBuf {
    BINARIES.join(name)
}

/// What a program that ran to its end left.
#[derive(Debug)]
pub struct Ran {
    /// Exit code; -1 when it was ended by a signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// Takes what a process left.
    pub fn from_output(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// Fails the test unless the exit code is the one expected.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    /// Standard output as one JSON value a line.
    #[track_caller]
    pub fn json(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }
}

/// Runs a command with input to its end.
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{error}"));
    let mut stdin = child.stdin.take();
    let input = input.to_vec();
    // Written beside the reading, for a program may answer before it has read all.
    let writer = std::thread::spawn(move || stdin.as_mut().map(|stdin| stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap_or_else(|error| panic!("{error}"));
    let _ = writer.join();
    Ran::from_output(output)
}

/// How a server is started: enough to start it again where it was.
#[derive(Debug, Clone)]
pub struct Launch {
    folder: Arc<TempDir>,
    data: PathBuf,
    program: PathBuf,
    options: Vec<String>,
    /// What runs the program, with its arguments; nothing in most cases.
    under: Vec<String>,
}

impl Launch {
    /// A server program with options, on an empty data folder. With `--no-tls` among them clients use none either.
    pub fn new(name: &str, options: &[&str]) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap_or_else(|error| panic!("{error}")));
        Self {
            data: folder.path().join("data"),
            folder,
            program: program(name),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            under: Vec::new(),
        }
    }

    /// The same run by a program, such as strace, that leaves its process where it would be.
    #[must_use]
    pub fn under(self, words: &[&str]) -> Self {
        let under = words.iter().map(|word| (*word).to_owned()).collect();
        Self { under, ..self }
    }

    /// The same with its data elsewhere.
    #[must_use]
    pub fn on(self, data: PathBuf) -> Self {
        Self { data, ..self }
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Starts it, and waits until it listens.
    pub fn start(self) -> Server {
        let mut words: Vec<&OsStr> = self.under.iter().map(OsStr::new).collect();
        words.push(self.program.as_os_str());
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args(["serve", "--allow-root", "--listen", "127.0.0.1:0", "--data"])
            .arg(&self.data)
            .args(&self.options);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{error}"));
        let log = Arc::new(Mutex::new(String::new()));
        let reader = child.stderr.take().map(|stderr| {
            let log = log.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                    log.push_str(&line);
                    log.push('\n');
                }
            })
        });
        let stdout = child
            .stdout
            .take()
            .map(BufReader::new)
            .into_iter()
            .flat_map(std::io::BufRead::lines);
        let lines: Vec<String> = stdout.take(2).map_while(Result::ok).collect();
        let after = |at: usize, start| lines.get(at).and_then(|line| line.strip_prefix(start));
        let address = after(0, "listening on ").and_then(|address| address.parse().ok());
        let Some((address, key)) = address.zip(after(1, "key ").map(str::to_owned)) else {
            let log = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
            panic!("the server said {lines:?} and {log}")
        };
        Server {
            address,
            key,
            child,
            launch: self,
            log,
            reader,
        }
    }
}

/// A server of ours that runs.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// The fingerprint of its key.
    pub key: String,
    child: Child,
    launch: Launch,
    log: Arc<Mutex<String>>,
    /// Reads the log until the server is gone.
    reader: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts `ferryd` on an empty data folder.
    pub fn start() -> Self {
        Self::start_program("ferryd", &[])
    }

    /// The same without TLS, for tests that speak the protocol themselves.
    pub fn start_plain() -> Self {
        Self::start_program("ferryd", &["--no-tls"])
    }

    /// Starts a server program with options, on an empty data folder.
    pub fn start_program(name: &str, options: &[&str]) -> Self {
        Launch::new(name, options).start()
    }

    /// What was read so far of what it logged; all of it is known once it has stopped.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.launch.data.clone()
    }

    /// A folder for the test's own files.
    pub fn local(&self) -> PathBuf {
        let path = self.launch.folder.path().join("local");
        let _ = std::fs::create_dir(&path);
        path
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs an administrator's command on its data folder.
    pub fn admin(&self, args: &[&str], input: &str) -> Ran {
        run_with_input(
            Command::new(&self.launch.program).args(args).arg("--data").arg(self.data()),
            input.as_bytes(),
        )
    }

    /// Makes an account while the server runs.
    #[track_caller]
    pub fn add_user(&self, name: &str, options: &[&str]) {
        let args: Vec<&str> = ["user", "add", name, "--password-stdin"]
            .into_iter()
            .chain(options.iter().copied())
            .collect();
        self.admin(&args, &format!("{PASSWORD}\n")).expect(0);
    }

    /// How a client is told to trust it.
    pub fn trust(&self) -> Vec<&str> {
        match self.launch.options.iter().any(|option| option == "--no-tls") {
            true => vec!["--no-tls"],
            false => vec!["--pin", &self.key],
        }
    }

    /// A client command for a user with options, without a verb yet.
    pub fn client(&self, user: &str, options: &[&str]) -> Command {
        let mut command = Command::new(program("ferry"));
        command
            .env("FERRY_PASSWORD", PASSWORD)
            .env("FERRY_KNOWN_HOSTS", self.launch.folder.path().join("known_hosts"))
            .env("HOME", self.launch.folder.path());
        command
            .current_dir(self.local())
            .args(self.trust())
            .args(options)
            .arg(format!("{user}@{}", self.address));
        command
    }

    /// What alice's client says of the server at an address when it was told nothing about its key but what is in its file.
    pub fn stranger(&self, address: &str, options: &[&str]) -> Ran {
        let mut command = Command::new(program("ferry"));
        command
            .env("FERRY_PASSWORD", PASSWORD)
            .env("FERRY_KNOWN_HOSTS", self.local().join("known_hosts"))
            .env("HOME", self.local())
            .args(["--retry-for", "0"])
            .args(options)
            .args([&format!("alice@{address}"), "pwd"]);
        run_with_input(&mut command, b"")
    }

    /// Runs one verb as a user.
    pub fn ferry<S: AsRef<OsStr>>(&self, user: &str, args: &[S]) -> Ran {
        run_with_input(self.client(user, &[]).args(args), b"")
    }

    /// Runs one verb as a user with `--json`.
    pub fn ferry_json<S: AsRef<OsStr>>(&self, user: &str, args: &[S]) -> Ran {
        run_with_input(self.client(user, &["--json"]).args(args), b"")
    }

    /// Runs a script as a user.
    pub fn script(&self, user: &str, script: &str) -> Ran {
        run_with_input(&mut self.client(user, &["-q", "-b", "-"]), script.as_bytes())
    }

    /// Tells it to stop and waits; gives its exit code and what it logged.
    pub fn stop(mut self) -> (i32, String) {
        self.signal("-TERM");
        let code = self.wait();
        // What it said last may still be on its way.
        self.reader.take().map(JoinHandle::join);
        (code, self.log())
    }

    /// Stops it, and starts it again on the same data folder.
    pub fn restart(self) -> Self {
        let launch = self.launch.clone();
        let (code, log) = self.stop();
        assert_eq!(code, 0, "{log}");
        launch.start()
    }

    /// Kills it without warning, and starts it again on the same data folder.
    pub fn kill_and_restart(self) -> Self {
        self.kill().start()
    }

    /// Kills it without warning; gives what starts it again.
    pub fn kill(mut self) -> Launch {
        let _ = self.child.kill();
        self.wait();
        self.launch.clone()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        let _ = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
    }

    fn wait(&mut self) -> i32 {
        let start = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return status.code().unwrap_or(-1),
                _ if start.elapsed() > PATIENCE => panic!("the server does not stop: {}", self.log()),
                _ => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Its resident memory now, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most memory it ever had resident, in bytes.
    pub fn peak_resident_bytes(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().map_or(0, |kib| kib * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says that a test did not run, past what the test runner hides.
pub fn skipped(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}

/// Runs a program to its end; gives what it said when it fails.
///
/// # Errors
/// It is missing, or its exit code is not 0.
pub fn try_run(program: &str, args: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Bytes that look random and are the same each time (xorshift64*, Vigna 2016).
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Writes a file of the test; gives its path.
pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap_or_else(|error| panic!("{error}"));
    path
}

/// Every file below a folder, relative, sorted.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(&at).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if let Ok(path) = path.strip_prefix(folder) {
                found.push(path.to_owned());
            }
        }
    }
    found.sort();
    found
}
