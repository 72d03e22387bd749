//! The one table of what can go wrong: a stable code, its kind, and the words for the person who meets it.
//!
//! Used from the command line to the HTTP layer. It knows neither: `http/problem.rs` maps kinds to status
//! codes and `main.rs` maps them to exit codes. `detail` is safe to show (no internals, no personal data);
//! the cause, if any, is for the log.

use std::fmt;

/// What sort of failure a code is: what the one who meets it can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request or the input is wrong; sending it again changes nothing.
    BadInput,
    /// No valid key or ticket.
    Unauthenticated,
    /// A valid key that may not do this, or consent is missing.
    Forbidden,
    /// There is no such thing (or it is another tenant's).
    NotFound,
    /// It clashes with the present state; read it anew.
    Conflict,
    /// Over a declared limit.
    TooLarge,
    /// Slow down and come back.
    Busy,
    /// Something we need is missing or away; it may come back.
    Unavailable,
    /// Our own fault.
    Internal,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $kind:ident, $zh:literal;)*) => {
        /// Every stable error code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// All codes, for docs and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as clients see it; never changes meaning.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What sort of failure it is.
            pub fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }

            /// What a salesperson reads.
            pub fn message_zh(self) -> &'static str {
                match self { $(Self::$name => $zh,)* }
            }
        }
    };
}

codes! {
    /// A body, header, parameter or message of the wrong shape.
    InvalidRequest = "invalid_request", BadInput, "请求内容有误，请检查后重试";
    /// Bytes that are no audio we can read.
    AudioUnreadable = "audio_unreadable", BadInput, "无法识别这段音频，请换一个文件";
    /// Audio with nothing in it.
    AudioEmpty = "audio_empty", BadInput, "音频是空的";
    /// Decoded audio is longer than allowed.
    AudioTooLong = "audio_too_long", TooLarge, "录音超过允许的时长";
    /// A message or body over its limit.
    TooLarge = "too_large", TooLarge, "内容过大";
    /// A configuration file or value that cannot be used.
    InvalidConfig = "invalid_config", BadInput, "配置有误";
    /// No pipeline of that name.
    UnknownPipeline = "unknown_pipeline", BadInput, "没有这个处理流程";
    /// A pipeline file with a mistake in it.
    InvalidPipeline = "invalid_pipeline", BadInput, "处理流程文件有误";
    /// A model manifest with a mistake in it.
    InvalidManifest = "invalid_manifest", BadInput, "模型清单有误";
    /// Weights or the runtime library are not there.
    ModelMissing = "model_missing", Unavailable, "模型尚未下载";
    /// A file's hash differs from its manifest.
    ModelAltered = "model_altered", Unavailable, "模型文件校验不一致";
    /// A model failed while running.
    EngineFailed = "engine_failed", Internal, "识别引擎出错，系统会自动重试";
    /// A download that did not work.
    DownloadFailed = "download_failed", Unavailable, "下载失败";
    /// No key, or one that is not valid.
    Unauthenticated = "unauthenticated", Unauthenticated, "访问密钥无效，请重新登录";
    /// The role may not do this.
    Forbidden = "forbidden", Forbidden, "没有权限";
    /// No recording consent on record.
    ConsentRequired = "consent_required", Forbidden, "请先取得客户同意";
    /// Consent was taken back.
    ConsentWithdrawn = "consent_withdrawn", Forbidden, "客户已撤回同意，录音已停止";
    /// Nothing there (or another tenant's).
    NotFound = "not_found", NotFound, "没有找到";
    /// The card is still being made.
    CardNotReady = "card_not_ready", NotFound, "卡片还在生成";
    /// The result is still being made.
    ResultNotReady = "result_not_ready", NotFound, "结果还在生成";
    /// The card changed since it was read.
    StaleVersion = "stale_version", Conflict, "卡片已更新，请重新查看后确认";
    /// The visit's state does not allow this.
    WrongState = "wrong_state", Conflict, "当前状态不能执行此操作";
    /// A resend with other bytes, or a length that does not match.
    AudioConflict = "audio_conflict", Conflict, "音频数据不一致";
    /// Bytes that begin beyond what is held.
    OffsetMismatch = "offset_mismatch", Conflict, "音频数据不连续，请从服务器要求的位置续传";
    /// A newer connection goes on with this visit.
    TakenOver = "taken_over", Conflict, "另一台设备已接管这次拜访";
    /// No message for too long.
    Idle = "idle", BadInput, "长时间没有数据，连接已关闭";
    /// The key was used with another request.
    IdempotencyConflict = "idempotency_conflict", Conflict, "重复的请求内容不一致";
    /// No place for another live visit.
    AtCapacity = "at_capacity", Busy, "系统繁忙，请稍后再试";
    /// Faster than allowed.
    TooFast = "too_fast", Busy, "发送过快，请稍后再试";
    /// Database or disk is away.
    StorageUnavailable = "storage_unavailable", Unavailable, "存储暂时不可用，请稍后再试";
    /// The server is going down.
    ShuttingDown = "shutting_down", Unavailable, "服务正在重启，请稍后重连";
    /// The port is taken.
    AddressInUse = "address_in_use", Unavailable, "端口被占用";
    /// Our own fault.
    Internal = "internal", Internal, "系统内部错误";
}

/// A failure with its code, the sentence that tells cause and way out, and what lay beneath.
#[derive(Debug)]
pub struct Error {
    /// The stable code.
    pub code: Code,
    /// One sentence: the cause and the way out. Safe to show.
    pub detail: String,
    /// What lay beneath, for the log only.
    pub source: Option<anyhow::Error>,
}

/// Result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure whose cause is fully told by `detail`.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), source: None }
    }

    /// A failure with something beneath it.
    pub fn caused(code: Code, detail: impl Into<String>, source: impl Into<anyhow::Error>) -> Self {
        Self { code, detail: detail.into(), source: Some(source.into()) }
    }

    /// Our own fault; clients see no more than that.
    pub fn internal(source: impl Into<anyhow::Error>) -> Self {
        Self::caused(Code::Internal, "something failed inside; the log has the cause", source)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(AsRef::as_ref)
    }
}
