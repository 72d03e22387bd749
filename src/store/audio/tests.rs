use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::*;

struct Desk {
    dir: tempfile::TempDir,
    tenant: TenantId,
    visit: VisitId,
}

impl Desk {
    fn new() -> Self {
        let tenant = TenantId::parse("acme").unwrap();
        Self { dir: tempfile::tempdir().unwrap(), tenant, visit: VisitId("vis_1".into()) }
    }

    /// As a new process would see it: nothing shared with logs opened before.
    async fn open(&self) -> Result<AudioLog> {
        AudioStore::new(self.dir.path()).open(&self.tenant, &self.visit).await
    }

    fn path(&self) -> PathBuf {
        AudioStore::new(self.dir.path()).path(&self.tenant, &self.visit).unwrap()
    }
}

async fn all(log: &AudioLog) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let more = log.read(bytes.len() as u64, 7).await.unwrap();
        if more.is_empty() {
            return bytes;
        }
        bytes.extend(more);
    }
}

#[tokio::test]
async fn bytes_are_read_only_once_durable() {
    let desk = Desk::new();
    let log = desk.open().await.unwrap();
    assert_eq!(log.append(0, b"hello ").await.unwrap(), Appended::Held { received: 6 });
    assert_eq!((log.received(), log.durable()), (6, 0));
    assert!(log.read(0, 9).await.unwrap().is_empty());
    let mut follower = log.watch();
    assert_eq!(log.sync().await.unwrap(), 6);
    assert_eq!(*follower.borrow_and_update(), 6);
    log.append(6, b"world").await.unwrap();
    log.sync().await.unwrap();
    assert_eq!(all(&log).await, b"hello world");
    assert_eq!(all(&desk.open().await.unwrap()).await, b"hello world");
}

#[tokio::test]
async fn resends_holes_and_conflicts() {
    let log = Desk::new().open().await.unwrap();
    log.append(0, b"abcd").await.unwrap();
    log.sync().await.unwrap();
    log.append(4, b"efgh").await.unwrap();
    assert_eq!(log.append(9, b"x").await.unwrap(), Appended::Hole { wanted: 8 });
    // An overlap over durable, pending and new bytes.
    assert_eq!(log.append(2, b"cdefghij").await.unwrap(), Appended::Held { received: 10 });
    for (offset, bytes) in [(0, b"X".as_slice()), (3, b"dX"), (8, b"iXkl")] {
        let conflict = log.append(offset, bytes).await.expect_err("other bytes");
        assert_eq!((conflict.code, log.received()), (Code::AudioConflict, 10));
    }
    assert_eq!(log.sync().await.unwrap(), 10);
    assert_eq!(all(&log).await, b"abcdefghij");
}

#[tokio::test]
async fn an_append_larger_than_a_record_is_split() {
    let log = Desk::new().open().await.unwrap();
    let bytes: Vec<u8> = (0..MAX_RECORD_BYTES * 5 / 2).map(|i| i as u8).collect();
    log.append(0, &bytes).await.unwrap();
    assert_eq!(log.sync().await.unwrap(), bytes.len() as u64);
    assert_eq!(log.read(MAX_RECORD_BYTES as u64 + 3, 2).await.unwrap(), [3, 4]);
}

#[tokio::test]
async fn one_log_however_often_it_is_opened() {
    let desk = Desk::new();
    let store = AudioStore::new(desk.dir.path());
    let one = store.open(&desk.tenant, &desk.visit).await.unwrap();
    one.append(0, b"abc").await.unwrap();
    let other = store.open(&desk.tenant, &desk.visit).await.unwrap();
    assert_eq!(other.received(), 3);
    let foreign = store.open(&TenantId::parse("rival").unwrap(), &desk.visit).await.unwrap();
    assert_eq!(foreign.received(), 0);
}

#[tokio::test]
async fn a_failed_fsync_is_never_acknowledged_later() {
    let desk = Desk::new();
    let store = AudioStore::new(desk.dir.path());
    let log = store.open(&desk.tenant, &desk.visit).await.unwrap();
    log.append(0, b"kept").await.unwrap();
    log.sync().await.unwrap();
    log.append(4, b" lost").await.unwrap();
    log.shared.fail_fsync.store(true, Ordering::Release);
    for _ in 0..2 {
        assert_eq!(log.sync().await.expect_err("no promise").code, Code::StorageUnavailable);
    }
    assert!(log.append(4, b" lost").await.is_err());
    let anew = store.open(&desk.tenant, &desk.visit).await.unwrap();
    assert_eq!(anew.durable(), 4);
    anew.append(4, b" sent again").await.unwrap();
    anew.sync().await.unwrap();
    assert_eq!(all(&anew).await, b"kept sent again");
}

/// What a power cut can leave of a record that was being written.
#[tokio::test]
async fn a_torn_end_is_cut_off() {
    let desk = Desk::new();
    let log = desk.open().await.unwrap();
    log.append(0, b"kept").await.unwrap();
    log.sync().await.unwrap();
    let kept = std::fs::read(desk.path()).unwrap();
    log.append(4, b"never acknowledged").await.unwrap();
    log.sync().await.unwrap();
    let whole = std::fs::read(desk.path()).unwrap();
    let mut ends: Vec<Vec<u8>> = (kept.len()..whole.len()).map(|n| whole[..n].to_vec()).collect();
    ends.push([kept.clone(), vec![0; 4096]].concat()); // length without data
    ends.push([whole[..whole.len() - 3].to_vec(), vec![0; 3]].concat()); // last page missing
    for end in ends {
        std::fs::write(desk.path(), &end).unwrap();
        let log = desk.open().await.unwrap();
        assert_eq!((log.durable(), all(&log).await.as_slice()), (4, b"kept".as_slice()));
        log.append(4, b"other").await.unwrap();
        log.sync().await.unwrap();
        assert_eq!(all(&desk.open().await.unwrap()).await, b"keptother");
    }
}

#[tokio::test]
async fn a_flipped_bit_is_found() {
    let desk = Desk::new();
    let log = desk.open().await.unwrap();
    for (offset, bytes) in [(0, b"abcd"), (4, b"efgh")] {
        log.append(offset, bytes).await.unwrap();
        log.sync().await.unwrap();
    }
    let mut file = std::fs::OpenOptions::new().read(true).write(true).open(desk.path()).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 17).unwrap();
    file.seek(SeekFrom::Start(17)).unwrap();
    file.write_all(&[byte[0] ^ 1]).unwrap();
    assert!(log.read(0, 4).await.is_err());
    assert_eq!(log.read(4, 4).await.unwrap(), b"efgh");
    assert_eq!(desk.open().await.err().unwrap().code, Code::StorageUnavailable);
}

#[tokio::test]
async fn removed_audio_is_gone() {
    let desk = Desk::new();
    let store = AudioStore::new(desk.dir.path());
    let log = store.open(&desk.tenant, &desk.visit).await.unwrap();
    log.append(0, b"abc").await.unwrap();
    log.sync().await.unwrap();
    drop(log);
    store.remove(&desk.tenant, &desk.visit).await.unwrap();
    store.remove(&desk.tenant, &desk.visit).await.unwrap();
    assert!(!desk.path().exists());
    assert_eq!(store.open(&desk.tenant, &desk.visit).await.unwrap().received(), 0);
    let climbing = VisitId("../x".into());
    assert_eq!(store.open(&desk.tenant, &climbing).await.err().unwrap().code, Code::NotFound);
}

#[derive(Debug, Clone)]
enum Step {
    /// Sends `len` bytes from `back` before (or, negative, beyond) the end.
    Send {
        back: i64,
        len: usize,
    },
    Sync,
    /// kill -9: pending bytes are gone, the file is as the last sync left it.
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (-20i64..60, 0usize..90).prop_map(|(back, len)| Step::Send { back, len }),
        2 => Just(Step::Sync),
        1 => Just(Step::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever is sent and whenever it is killed: durable never shrinks, and what is stored is a prefix of
    /// what the sender has.
    #[test]
    fn offsets_never_shrink(steps in proptest::collection::vec(step(), 1..40)) {
        let sent = |offset: u64| (offset.wrapping_mul(31) >> 2) as u8;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let desk = Desk::new();
            let mut log = desk.open().await.unwrap();
            let mut promised = 0;
            for step in steps {
                match step {
                    Step::Send { back, len } => {
                        let held = log.received();
                        let offset = held.saturating_add_signed(-back);
                        let bytes: Vec<u8> = (offset..offset + len as u64).map(sent).collect();
                        let expected = if offset > held {
                            Appended::Hole { wanted: held }
                        } else {
                            Appended::Held { received: held.max(offset + len as u64) }
                        };
                        assert_eq!(log.append(offset, &bytes).await.unwrap(), expected);
                    }
                    Step::Sync => {
                        let durable = log.sync().await.unwrap();
                        assert!(durable >= promised && durable == log.received());
                        promised = durable;
                    }
                    Step::Kill => {
                        log = desk.open().await.unwrap();
                        assert_eq!((log.received(), log.durable()), (promised, promised));
                    }
                }
            }
            let stored = all(&log).await;
            let expected: Vec<u8> = (0..log.durable()).map(sent).collect();
            assert_eq!(stored, expected);
        });
    }
}
