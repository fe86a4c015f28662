//! The server's configuration: raw from flags, variables and a file, then validated in one step.
//!
//! Precedence: flag, environment variable, file, default. Unknown keys are refused by name, in the
//! file and among variables that begin with `DORMOUSE_`.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use dormouse_frontend::{OtherS3, Registries, Registry};
use dormouse_identity::SigningKey;
use dormouse_model::limits;
use dormouse_model::names::Scope;
use dormouse_sandbox::Network;
use dormouse_sandbox::namespace::Criu;
use dormouse_sandbox::namespace::doctor::Guarantee;
use dormouse_worker::{CpuModel, StandbySetting};
use serde::Deserialize;

/// The prefix of every environment variable.
const PREFIX: &str = "DORMOUSE_";

/// What was typed, in flags, variables or the file; nothing is checked yet.
#[derive(Debug, Default, Clone, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Typed {
    /// Where functions, packages and logs are kept [default: /var/lib/dormouse as root, else
    /// ~/.local/share/dormouse].
    #[arg(long, env = "DORMOUSE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The address to listen on; port 0 takes a free one [default: 127.0.0.1:9000].
    #[arg(long, env = "DORMOUSE_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// A Unix socket to listen on as well, for this user's clients: `curl --unix-socket PATH http://localhost/`.
    #[arg(long, env = "DORMOUSE_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The region of callers who name none [default: us-east-1].
    #[arg(long, env = "DORMOUSE_REGION")]
    region: Option<String>,
    /// The account of callers whose access key is not itself an account id [default: 000000000000].
    #[arg(long, env = "DORMOUSE_ACCOUNT_ID", value_name = "ID")]
    account_id: Option<String>,
    /// How the server's own log is written to standard error [default: text on a terminal, else json].
    #[arg(long, env = "DORMOUSE_LOG_FORMAT", value_enum)]
    log_format: Option<LogFormat>,
    /// What is logged, as in `info` or `dormouse_worker=debug,warn` [default: info].
    #[arg(long, env = "DORMOUSE_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// What functions can reach: the outside world through this machine, or nothing [default: nat].
    #[arg(long, env = "DORMOUSE_NETWORK", value_enum)]
    network: Option<NetworkMode>,
    /// Guarantees given up on a machine that cannot keep them; `dormouse doctor` names them.
    #[arg(long, env = "DORMOUSE_ALLOW_WEAKER", value_name = "GUARANTEES", value_delimiter = ',')]
    allow_weaker: Option<Vec<String>>,
    /// Refuse runtimes of which only a near version is installed.
    #[arg(long, env = "DORMOUSE_STRICT_RUNTIMES", num_args = 0..=1, default_missing_value = "true")]
    strict_runtimes: Option<bool>,
    /// Limit requests a second (ten for each that may run at once) and the growth of a function (1 000
    /// environments in ten seconds) as Lambda does.
    #[arg(long, env = "DORMOUSE_LIMIT_RATES", num_args = 0..=1, default_missing_value = "true")]
    limit_rates: Option<bool>,
    /// Megabytes of memory for all environments together: those that run count with all they may use, frozen
    /// ones with an eighth of it [default: seven eighths of the machine's, or of what its control group allows].
    #[arg(long, env = "DORMOUSE_CAPACITY_MB", value_name = "MB", value_parser = clap::value_parser!(u64).range(1..))]
    capacity_mb: Option<u64>,
    /// How much CPU functions get: in proportion to memory as on Lambda, or all [default: lambda].
    #[arg(long, env = "DORMOUSE_CPU", value_enum)]
    cpu: Option<Cpu>,
    /// Sandboxes that stand by for cold starts, of each kind in use: a number, or as many as were needed
    /// lately; 0 for none [default: auto].
    #[arg(long, env = "DORMOUSE_STANDBY", value_name = "auto|N")]
    standby: Option<String>,
    /// The program that takes the snapshots of `SnapStart`, criu 4.2 or newer: one that is installed if there
    /// is one, `none`, or this one. Without it each environment is initialised [default: auto].
    #[arg(long, env = "DORMOUSE_CRIU", value_name = "auto|none|FILE")]
    criu: Option<PathBuf>,
    /// Directories below which functions may have their code as `S3Bucket=hot-reload,S3Key=/path`; may be
    /// repeated, in the variable separated by colons.
    #[arg(long, env = "DORMOUSE_HOT_RELOAD", value_name = "DIR", value_delimiter = ':')]
    hot_reload: Option<Vec<PathBuf>>,
    /// Directories below which images may lie, as `oci:/path` and `docker-archive:/path`; may be repeated, in
    /// the variable separated by colons.
    #[arg(long, env = "DORMOUSE_IMAGE_DIR", value_name = "DIR", value_delimiter = ':')]
    image_dir: Option<Vec<PathBuf>>,
    /// Registries that images may be pulled from, over plain HTTP; `NAME=HOST:PORT` for images that are named
    /// after another host. May be repeated, in the variable separated by commas.
    #[arg(long, env = "DORMOUSE_REGISTRY", value_name = "HOST:PORT", value_delimiter = ',')]
    registry: Option<Vec<String>>,
    /// The S3 that packages come from whose bucket this server does not have, over plain HTTP.
    #[arg(long, env = "DORMOUSE_S3_ENDPOINT", value_name = "http://HOST:PORT")]
    s3_endpoint: Option<String>,
    /// The access key id for it; without one, requests are not signed.
    #[arg(long, env = "DORMOUSE_S3_ACCESS_KEY_ID", value_name = "ID")]
    s3_access_key_id: Option<String>,
    /// The secret of that key; better in the variable or the file than on a line that others can read.
    #[arg(
        long,
        env = "DORMOUSE_S3_SECRET_ACCESS_KEY",
        value_name = "SECRET",
        hide_env_values = true
    )]
    s3_secret_access_key: Option<String>,
    /// Seconds after which an environment is replaced, when its invocation is over [default: 14400].
    #[arg(long, env = "DORMOUSE_MAX_LIFE", value_name = "SECONDS")]
    max_life: Option<u64>,
    /// Seconds an idle environment is kept [default: 600].
    #[arg(long, env = "DORMOUSE_IDLE_TIMEOUT", value_name = "SECONDS")]
    idle_timeout: Option<u64>,
    /// Seconds a stopping server waits for running invocations [default: 30].
    #[arg(long, env = "DORMOUSE_DRAIN_TIMEOUT", value_name = "SECONDS")]
    drain_timeout: Option<u64>,
    /// Milliseconds before a queued event whose function failed is tried again; twice as many before the
    /// second time. Hidden: for tests that cannot wait as long as AWS does [default: 60000].
    #[arg(long, env = "DORMOUSE_ASYNC_RETRY_BASE", value_name = "MILLISECONDS", hide = true)]
    async_retry_base: Option<u64>,
    /// A TOML file with any of these options, under the same names with underscores.
    #[arg(long, env = "DORMOUSE_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
}

/// `--log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum NetworkMode {
    Nat,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Cpu {
    Lambda,
    Full,
}

/// The configuration, complete and valid.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) listen: SocketAddr,
    /// A Unix socket beside it.
    pub(crate) socket: Option<PathBuf>,
    pub(crate) home: Scope,
    pub(crate) log_format: Option<LogFormat>,
    pub(crate) log: String,
    pub(crate) network: Network,
    pub(crate) allow_weaker: Vec<Guarantee>,
    pub(crate) nearest_runtime: bool,
    pub(crate) limit_rates: bool,
    pub(crate) capacity_mb: Option<u64>,
    pub(crate) cpu: CpuModel,
    /// How many sandboxes stand by.
    pub(crate) standby: StandbySetting,
    /// What takes snapshots.
    pub(crate) criu: Criu,
    pub(crate) hot_reload: Vec<PathBuf>,
    pub(crate) image_dir: Vec<PathBuf>,
    pub(crate) registries: Registries,
    pub(crate) other_s3: Option<OtherS3>,
    pub(crate) idle: Duration,
    pub(crate) life: Duration,
    pub(crate) drain: Duration,
    pub(crate) event_retry_ms: u64,
}

/// The facts about the process that defaults depend on.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) is_root: bool,
    pub(crate) home_dir: Option<PathBuf>,
    pub(crate) variables: Vec<OsString>,
}

impl Config {
    /// Reads the file, merges and validates.
    pub(crate) fn load(typed: Typed, around: &Surroundings) -> anyhow::Result<Self> {
        refuse_unknown_variables(&around.variables)?;
        let file = match &typed.config {
            Some(path) => read(path)?,
            None => Typed::default(),
        };
        Self::of(typed.over(file), around)
    }

    fn of(typed: Typed, around: &Surroundings) -> anyhow::Result<Self> {
        let listen = typed.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9000)));
        if !listen.ip().is_loopback() {
            bail!(
                "listening on {listen} would let anybody on the network run code here: only loopback \
                 addresses are allowed until signatures are verified (authentication by SigV4 is not \
                 available in this version)"
            );
        }
        let region = typed.region.as_deref().unwrap_or("us-east-1");
        let account = typed.account_id.as_deref().unwrap_or("000000000000");
        let allow_weaker = typed.allow_weaker.unwrap_or_default();
        Ok(Self {
            // Whole, because sandboxes are made by a process whose working directory is another.
            data_dir: std::path::absolute(
                typed.data_dir.map_or_else(|| default_data_dir(around), Ok)?,
            )
            .context("--data-dir")?,
            listen,
            socket: typed.socket,
            home: Scope {
                account: account.parse().context("--account-id")?,
                region: region.parse().context("--region")?,
            },
            log_format: typed.log_format,
            log: typed.log.unwrap_or_else(|| "info".to_owned()),
            network: match typed.network.unwrap_or(NetworkMode::Nat) {
                NetworkMode::Nat => Network::Outbound,
                NetworkMode::None => Network::None,
            },
            allow_weaker: allow_weaker
                .iter()
                .map(|name| name.trim().parse().context("--allow-weaker"))
                .collect::<anyhow::Result<_>>()?,
            nearest_runtime: !typed.strict_runtimes.unwrap_or(false),
            limit_rates: typed.limit_rates.unwrap_or(false),
            capacity_mb: typed.capacity_mb,
            cpu: match typed.cpu.unwrap_or(Cpu::Lambda) {
                Cpu::Lambda => CpuModel::Lambda,
                Cpu::Full => CpuModel::Full,
            },
            standby: typed
                .standby
                .as_deref()
                .unwrap_or("auto")
                .parse()
                .map_err(|reason| anyhow::anyhow!("--standby: {reason}"))?,
            criu: criu(typed.criu)?,
            hot_reload: typed.hot_reload.unwrap_or_default(),
            image_dir: typed.image_dir.unwrap_or_default(),
            registries: registries(&typed.registry.unwrap_or_default())?,
            other_s3: other_s3(
                typed.s3_endpoint.as_deref(),
                (typed.s3_access_key_id, typed.s3_secret_access_key),
            )?,
            idle: Duration::from_secs(typed.idle_timeout.unwrap_or(limits::IDLE_S)),
            life: Duration::from_secs(typed.max_life.unwrap_or(limits::LIFE_S)),
            drain: typed
                .drain_timeout
                .map_or(Duration::from_millis(limits::DRAIN_MS), Duration::from_secs),
            event_retry_ms: typed.async_retry_base.unwrap_or(limits::EVENT_RETRY_MS),
        })
    }
}

impl Typed {
    /// What was typed here, completed by what was typed there.
    fn over(self, there: Self) -> Self {
        Self {
            data_dir: self.data_dir.or(there.data_dir),
            listen: self.listen.or(there.listen),
            socket: self.socket.or(there.socket),
            region: self.region.or(there.region),
            account_id: self.account_id.or(there.account_id),
            log_format: self.log_format.or(there.log_format),
            log: self.log.or(there.log),
            network: self.network.or(there.network),
            allow_weaker: self.allow_weaker.or(there.allow_weaker),
            strict_runtimes: self.strict_runtimes.or(there.strict_runtimes),
            limit_rates: self.limit_rates.or(there.limit_rates),
            capacity_mb: self.capacity_mb.or(there.capacity_mb),
            cpu: self.cpu.or(there.cpu),
            standby: self.standby.or(there.standby),
            criu: self.criu.or(there.criu),
            hot_reload: self.hot_reload.or(there.hot_reload),
            image_dir: self.image_dir.or(there.image_dir),
            registry: self.registry.or(there.registry),
            s3_endpoint: self.s3_endpoint.or(there.s3_endpoint),
            s3_access_key_id: self.s3_access_key_id.or(there.s3_access_key_id),
            s3_secret_access_key: self.s3_secret_access_key.or(there.s3_secret_access_key),
            max_life: self.max_life.or(there.max_life),
            idle_timeout: self.idle_timeout.or(there.idle_timeout),
            drain_timeout: self.drain_timeout.or(there.drain_timeout),
            async_retry_base: self.async_retry_base.or(there.async_retry_base),
            config: self.config,
        }
    }
}

fn criu(typed: Option<PathBuf>) -> anyhow::Result<Criu> {
    match typed.as_deref().map(|program| program.as_os_str().as_encoded_bytes()) {
        None | Some(b"auto") => Ok(Criu::Search),
        Some(b"none") => Ok(Criu::Off),
        Some(_) => {
            let program = std::path::absolute(typed.unwrap_or_default()).context("--criu")?;
            Ok(Criu::Program(program))
        }
    }
}

fn registries(typed: &[String]) -> anyhow::Result<Registries> {
    let read = |text: &String| {
        text.parse::<Registry>().map_err(|reason| anyhow::anyhow!("--registry {text}: {reason}"))
    };
    typed.iter().map(read).collect()
}

fn other_s3(
    endpoint: Option<&str>,
    key: (Option<String>, Option<String>),
) -> anyhow::Result<Option<OtherS3>> {
    let Some(text) = endpoint else {
        return Ok(None);
    };
    let endpoint: OtherS3 =
        text.parse().map_err(|reason| anyhow::anyhow!("--s3-endpoint {text}: {reason}"))?;
    let key = match key {
        (Some(key_id), Some(secret)) => Some(SigningKey { key_id, secret }),
        (None, None) => None,
        _ => bail!("--s3-access-key-id and --s3-secret-access-key belong together"),
    };
    Ok(Some(endpoint.signed_by(key)))
}

fn read(path: &PathBuf) -> anyhow::Result<Typed> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("configuration file {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("configuration file {}", path.display()))
}

fn default_data_dir(around: &Surroundings) -> anyhow::Result<PathBuf> {
    if around.is_root {
        return Ok(PathBuf::from("/var/lib/dormouse"));
    }
    let home = around.home_dir.as_ref().context("no home directory is known: give --data-dir")?;
    Ok(home.join(".local/share/dormouse"))
}

/// A misspelt variable would otherwise be silently without effect.
fn refuse_unknown_variables(variables: &[OsString]) -> anyhow::Result<()> {
    let command = Typed::augment_args(clap::Command::new("serve"));
    let known: Vec<&str> =
        command.get_arguments().filter_map(|arg| arg.get_env()?.to_str()).collect();
    for variable in variables {
        let Some(name) = variable.to_str().filter(|name| name.starts_with(PREFIX)) else {
            continue;
        };
        if !known.contains(&name) {
            bail!("unknown environment variable {name}; known ones are {}", known.join(", "));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clap::{CommandFactory, FromArgMatches};

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        typed: Typed,
    }

    fn typed(args: &[&str]) -> Typed {
        let matches =
            Line::command().no_binary_name(true).try_get_matches_from(args).expect("valid flags");
        Line::from_arg_matches(&matches).expect("valid flags").typed
    }

    fn around() -> Surroundings {
        Surroundings { is_root: true, home_dir: None, variables: vec![] }
    }

    fn check(args: &[&str], expected: Result<(), &str>) {
        match (Config::load(typed(args), &around()), expected) {
            (Ok(_), Ok(())) => {}
            (Err(error), Err(part)) => {
                let text = format!("{error:#}");
                assert!(text.contains(part), "{text}");
            }
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn defaults_are_complete() {
        let config = Config::load(typed(&[]), &around()).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:9000");
        assert_eq!(config.data_dir, PathBuf::from("/var/lib/dormouse"));
        assert_eq!(config.home.account.as_str(), "000000000000");
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        check(&["--listen", "0.0.0.0:9000"], Err("only loopback"));
        check(&["--account-id", "12"], Err("--account-id"));
        check(&["--region", "Mars!"], Err("--region"));
        check(&["--allow-weaker", "everything"], Err("--allow-weaker"));
        check(&["--registry", "http://x"], Err("--registry http://x"));
        check(&["--registry", "127.0.0.1:5000,x=y:1"], Ok(()));
        check(&["--s3-endpoint", "minio:9000"], Err("--s3-endpoint minio:9000"));
        check(&["--s3-endpoint", "http://minio:9000"], Ok(()));
        check(
            &["--s3-endpoint", "http://minio:9000", "--s3-access-key-id", "a"],
            Err("belong together"),
        );
        check(&["--config", "/nonexistent.toml"], Err("/nonexistent.toml"));
    }

    #[test]
    fn flags_win_over_the_file_and_unknown_keys_are_named() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "region = \"eu-west-1\"\naccount_id = \"123456789012\"").unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        let config =
            Config::load(typed(&["--config", &path, "--region", "us-west-2"]), &around()).unwrap();
        assert_eq!(config.home.region.as_str(), "us-west-2");
        assert_eq!(config.home.account.as_str(), "123456789012");
        writeln!(file, "regoin = \"x\"").unwrap();
        check(&["--config", &path], Err("regoin"));
    }

    #[test]
    fn directories_for_hot_reload_are_given_one_by_one_or_with_colons() {
        let given = |args: &[&str]| Config::load(typed(args), &around()).unwrap().hot_reload;
        assert_eq!(given(&[]), Vec::<PathBuf>::new());
        let two = [PathBuf::from("/a"), PathBuf::from("/b")];
        assert_eq!(given(&["--hot-reload", "/a", "--hot-reload", "/b"]), two);
        assert_eq!(given(&["--hot-reload", "/a:/b"]), two);
    }

    #[test]
    fn a_data_directory_is_one_wherever_it_is_looked_at_from() {
        let given = |path| Config::load(typed(&["--data-dir", path]), &around()).unwrap().data_dir;
        assert_eq!(given("/data"), PathBuf::from("/data"));
        assert_eq!(given("data"), std::env::current_dir().unwrap().join("data"));
    }

    #[test]
    fn an_unknown_variable_is_named() {
        let around = Surroundings { variables: vec!["DORMOUSE_REGOIN".into()], ..around() };
        let error = Config::load(typed(&[]), &around).unwrap_err();
        assert!(error.to_string().contains("DORMOUSE_REGOIN"));
    }
}
