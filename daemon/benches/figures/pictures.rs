//! What a picture costs: 12 megapixels to 512, by the child that makes it and by `vipsthumbnail`, in
//! turn, with one thread each: processor time, and the most memory. The child is started for each
//! image; of `vipsthumbnail` that is measured, and all images in one process too.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use imgrepo_proto::session::view::Variant;
use imgrepod::repository::picture::{COMMAND, Kind, Order, render};

use crate::process::imgrepod;
use crate::report::{Report, median};

const WIDTH: usize = 4000;
const HEIGHT: usize = 3000;

/// Images of one process and round.
const IMAGES: usize = 10;

const ROUNDS: usize = 7;

/// Runs a command so many times with this on its stdin; prints its processor time in seconds and the
/// most memory in KiB. Only wait4 tells both, and no safe call is it.
const MEASURE: &str = "
import os, sys
times, stdin, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
actions = [(os.POSIX_SPAWN_OPEN, 0, stdin, os.O_RDONLY, 0),
           (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
seconds, most = 0, 0
for _ in range(times):
    child = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
    _, status, usage = os.wait4(child, 0)
    if status:
        sys.exit('%s ended with %d' % (command[0], status))
    seconds += usage.ru_utime + usage.ru_stime
    most = max(most, usage.ru_maxrss)
print(seconds, most)
";

#[allow(clippy::print_stdout, reason = "a benchmark is a program for the terminal")]
pub(crate) fn measure(work: &Path, report: &mut Report) -> anyhow::Result<()> {
    std::fs::create_dir_all(work)?;
    let photo = photo(work)?;
    let order = order(work, &photo)?;
    let program = imgrepod();
    let ours = [program.as_os_str().to_owned(), COMMAND.into()];
    if Command::new("vipsthumbnail").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("vipsthumbnail is not installed: nothing to compare with (Debian: libvips-tools)");
        let (seconds, most) = run(1, &order, &ours)?;
        report.add("12 megapixels to 512 pixels, processor time", seconds * 1e3, "ms", "");
        report.add("  most memory", most / 1024.0, "MiB", "");
        return Ok(());
    }
    let vips = |images: usize| {
        let mut command: Vec<_> =
            ["vipsthumbnail", "--vips-concurrency=1", "-s", "512", "-o"].map(Into::into).into();
        command.push(work.join("%s-small.jpeg").into_os_string());
        command.extend(std::iter::repeat_n(photo.clone().into_os_string(), images));
        command
    };
    let mut seconds: [Vec<f64>; 3] = Default::default();
    let mut memory: [Vec<f64>; 3] = Default::default();
    // The first round warms up.
    for round in 0..=ROUNDS {
        let figures = [
            run(IMAGES, &order, &ours)?,
            run(IMAGES, &photo, &vips(1))?,
            run(1, &photo, &vips(IMAGES))?,
        ];
        if round > 0 {
            for (way, (spent, most)) in figures.into_iter().enumerate() {
                seconds[way].push(spent / IMAGES as f64);
                memory[way].push(most / 1024.0);
            }
        }
    }
    let ratio = |one: &[f64], other: &[f64]| {
        median(&one.iter().zip(other).map(|(one, other)| one / other).collect::<Vec<_>>())
    };
    let [ours, each, all] = &seconds;
    report.add("12 megapixels to 512 pixels, processor time", median(ours) * 1e3, "ms", "");
    report.add("  vipsthumbnail, a process each", median(each) * 1e3, "ms", "");
    report.add("  vipsthumbnail, all in one process", median(all) * 1e3, "ms", "");
    report.add(
        "  ratio, images for a second, a process each",
        ratio(each, ours),
        "",
        ">= 1.1 [1.4]",
    );
    report.add("  ratio, images for a second, all in one", ratio(all, ours), "", "");
    report.add("  most memory", median(&memory[0]), "MiB", "");
    report.add("  most memory of vipsthumbnail", median(&memory[1]), "MiB", "");
    report.add("  ratio, memory", ratio(&memory[0], &memory[1]), "", "<= 0.7");
    Ok(())
}

/// A picture like a photograph: large shapes, small ones in them, and a sensor's noise.
fn photo(work: &Path) -> anyhow::Result<PathBuf> {
    let mut seed = 1u64;
    let mut chance = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    let mut pixels = vec![128f32; WIDTH * HEIGHT * 3];
    for octave in 0..7 {
        let (step, strength) = (1024 >> octave, 110.0 / (octave + 1) as f32);
        let (across, down) = (WIDTH / step + 2, HEIGHT / step + 2);
        let grid: Vec<f32> = (0..across * down * 3).map(|_| chance() * strength).collect();
        for (at, pixel) in pixels.iter_mut().enumerate() {
            let (channel, x, y) = (at % 3, at / 3 % WIDTH, at / 3 / WIDTH);
            let value = |x: usize, y: usize| grid[(y * across + x) * 3 + channel];
            let (left, top) = (x / step, y / step);
            let [right, below] = [x, y].map(|place| (place % step) as f32 / step as f32);
            let upper = value(left, top) * (1.0 - right) + value(left + 1, top) * right;
            let lower = value(left, top + 1) * (1.0 - right) + value(left + 1, top + 1) * right;
            *pixel += upper * (1.0 - below) + lower * below;
        }
    }
    let pixels: Vec<u8> =
        pixels.iter().map(|value| (value + chance() * 6.0).clamp(0.0, 255.0) as u8).collect();
    let path = work.join("photo.jpg");
    let mut encoder = jpeg_encoder::Encoder::new_file(&path, 90)?;
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_2_2);
    encoder.encode(&pixels, WIDTH as u16, HEIGHT as u16, jpeg_encoder::ColorType::Rgb)?;
    Ok(path)
}

/// What the daemon writes to the child for this photograph, in a file: taken down by a program that
/// does nothing else.
fn order(work: &Path, photo: &Path) -> anyhow::Result<PathBuf> {
    let (order, scribe) = (work.join("order"), work.join("scribe"));
    std::fs::write(&scribe, format!("#!/bin/sh\ncat > {}\n", order.display()))?;
    std::fs::set_permissions(&scribe, PermissionsExt::from_mode(0o700))?;
    let content = std::fs::read(photo)?;
    let ordered = Order {
        kind: Kind::Jpeg,
        variants: vec![Variant::Medium],
        placeholder: false,
        is_background: false,
    };
    let made = render(&scribe, &ordered, content.len() as u64, &mut |into, at| {
        into.copy_from_slice(&content[at as usize..at as usize + into.len()]);
        Ok(())
    });
    // It answers nothing.
    if made.is_ok() || std::fs::metadata(&order)?.len() <= content.len() as u64 {
        bail!("the order was not written down");
    }
    Ok(order)
}

/// Processor time in seconds and the most memory in KiB.
fn run(times: usize, stdin: &Path, command: &[std::ffi::OsString]) -> anyhow::Result<(f64, f64)> {
    let mut python = Command::new("python3");
    python.args(["-c", MEASURE, &times.to_string()]).arg(stdin).args(command);
    let output = python.stderr(Stdio::inherit()).output().context("cannot run python3")?;
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = words.split_whitespace().filter_map(|word| word.parse().ok());
    numbers.next().zip(numbers.next()).with_context(|| format!("python3 said `{words}`"))
}
