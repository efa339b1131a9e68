//! The writer's rounds, one at a time and without its thread.

use std::sync::mpsc::channel;

use super::super::chain::Chain;
use super::super::merkle::Frontier;
use super::super::output::Begun;
use super::super::ring::{Producer, Source, ring};
use super::super::segment::Segment;
use super::super::settings::{Settings, SyncMode};
use super::super::sync::Syncer;
use super::super::tree::LogTree;
use super::super::tree_file::TreeBuilder;
use super::*;

type Encoder = fn(&mut EntryBuilder<'_>, Source, &u64);

fn line(entry: &mut EntryBuilder<'_>, _: Source, n: &u64) {
    entry.text("kind", "decision");
    entry.uint("n", *n);
}

struct Scene {
    _dir: tempfile::TempDir,
    writer: Writer<u64, Encoder>,
    producer: Producer<u64>,
    control: Sender<Control>,
}

fn scene(mode: SyncMode, capacity: usize) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(dir.path());
    settings.sync = mode;
    let boot = BootId::from_u32(7);
    let (producer, consumer) = ring(Source { boot, worker: 0 }, capacity);
    let begun = Begun {
        chain: Chain::genesis(),
        tree: LogTree::new(Frontier::new(), TreeBuilder::new(0)),
        segment: Segment::create(&settings.disk, dir.path(), 0, &[], true).unwrap(),
        signer: None,
    };
    let syncer = Syncer::start(&settings.disk).unwrap();
    let stats = Arc::new(Stats::new(vec![Arc::clone(&consumer.counts)]));
    let (control, inbox) = channel();
    let output = Output::new(&settings, begun, syncer);
    let valve = Valve::new(settings.bounds, elapsed());
    let intakes = vec![Intake::new(consumer)];
    let writer = Writer::new(boot, intakes, line as Encoder, output, valve, inbox, stats);
    Scene {
        _dir: dir,
        writer,
        producer,
        control,
    }
}

fn push(producer: &mut Producer<u64>, count: usize) {
    for _ in 0..count {
        let n = producer.next_number();
        producer.push(Lane::Ordinary, Some(n), n);
    }
}

#[test]
fn a_writer_that_waits_for_a_sync_of_one_event_has_no_backlog() {
    for (mode, busy) in [(SyncMode::Each, false), (SyncMode::Group, true)] {
        let mut scene = scene(mode, 2_048);
        push(&mut scene.producer, 2 * TURN + 1);
        assert!(scene.writer.has_backlog(), "{mode:?}");
        assert!(scene.writer.take_turns() > 0);
        assert!(scene.writer.intakes[0].waiting() >= TURN);
        assert_eq!(scene.writer.has_backlog(), busy, "{mode:?}");
    }
}

#[test]
fn a_flush_is_answered_under_steady_traffic() {
    let mut scene = scene(SyncMode::Each, 2_048);
    push(&mut scene.producer, 3);
    let (ack, answer) = channel();
    scene.control.send(Control::Flush(ack)).unwrap();
    // Never empty: for each event that goes two come.
    while scene.writer.output.next_seq() < 20 {
        push(&mut scene.producer, 2);
        scene.writer.hear();
        scene.writer.take_turns();
        scene.writer.serve_flushes();
        while scene.writer.output.is_one_by_one() {
            scene.writer.output.drive(true);
        }
        scene.writer.report();
    }
    let durable = answer.try_recv().unwrap().unwrap();
    assert!((3..20).contains(&durable), "{durable}");
}

#[test]
fn losses_that_a_worker_still_holds_at_the_end_count_once() {
    // R090
    let mut scene = scene(SyncMode::Group, 4);
    // Those that did not fit are held by the worker.
    push(&mut scene.producer, 10);
    let writer = &mut scene.writer;
    writer.closing = Some((None, elapsed() + CLOSE_PATIENCE));
    let (ack, _answer) = channel();
    writer.flushes.push((writer.stats.mark(), ack));
    writer.serve_flushes();
    assert_eq!(writer.intakes[0].accounted(), 4);
    // Only now they come, with their places.
    scene.producer.settle();
    writer.note_losses(true, true);
    assert_eq!(writer.intakes[0].accounted(), 10);
    // What comes after the very last look counts without a place.
    push(&mut scene.producer, 10);
    writer.take_turns();
    writer.note_losses(true, true);
    assert_eq!(writer.intakes[0].accounted(), 20);
}
