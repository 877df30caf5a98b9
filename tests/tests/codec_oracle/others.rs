//! The others, each as a function from samples to octets and back.

use std::io::Write;
use std::process::{Command, Stdio};

use sbc::codec::g722::Mode;

pub(crate) fn sipx_encoded(samples: &[i16]) -> Vec<u8> {
    sipx_audio::g722::Encoder::new().encode(samples)
}

/// It has mode 1 only.
pub(crate) fn sipx_decoded(octets: &[u8]) -> Vec<i16> {
    sipx_audio::g722::Decoder::new().decode(octets)
}

pub(crate) fn ffmpeg_encoded(samples: &[i16]) -> Vec<u8> {
    let input = ["-f", "s16le", "-ar", "16000", "-ac", "1"];
    ffmpeg(&input, &["-c:a", "g722", "-f", "g722"], &bytes(samples))
}

pub(crate) fn ffmpeg_decoded(octets: &[u8]) -> Vec<i16> {
    samples(&ffmpeg(&["-f", "g722"], &["-f", "s16le"], octets))
}

fn ffmpeg(input: &[&str], output: &[&str], bytes: &[u8]) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin"]);
    command.args(input).args(["-i", "pipe:0"]);
    piped(command.args(output).arg("pipe:1"), bytes)
}

/// What libspandsp's functions take and give, in the words of python3's ctypes.
const SPANDSP: &str = r#"
import ctypes, sys
lib = ctypes.CDLL("libspandsp.so.2")
what, rate = sys.argv[1], int(sys.argv[2])
data = sys.stdin.buffer.read()
init = getattr(lib, "g722_" + what + "_init")
init.restype = ctypes.c_void_p
state = ctypes.c_void_p(init(None, rate, 0))
out = ctypes.create_string_buffer(4 * len(data) + 16)
if what == "encode":
    print(lib.g722_encode(state, out, data, len(data) // 2), file=sys.stderr)
    size = len(data) // 4
else:
    print(lib.g722_decode(state, out, data, len(data)), file=sys.stderr)
    size = 4 * len(data)
sys.stdout.buffer.write(out.raw[:size])
"#;

pub(crate) fn has_spandsp() -> bool {
    let loads = Command::new("python3")
        .args(["-c", "import ctypes; ctypes.CDLL('libspandsp.so.2')"])
        .stderr(Stdio::null())
        .status();
    loads.is_ok_and(|status| status.success())
}

pub(crate) fn spandsp_encoded(samples: &[i16]) -> Vec<u8> {
    spandsp("encode", Mode::Eight, &bytes(samples))
}

/// Of the other modes' octets it wants the voice's bits only, at the lower end.
pub(crate) fn spandsp_decoded(octets: &[u8], mode: Mode) -> Vec<i16> {
    let down = match mode {
        Mode::Eight => 0,
        Mode::Seven => 1,
        Mode::Six => 2,
    };
    let octets: Vec<u8> = octets.iter().map(|octet| octet >> down).collect();
    samples(&spandsp("decode", mode, &octets))
}

fn spandsp(what: &str, mode: Mode, bytes: &[u8]) -> Vec<u8> {
    let rate = match mode {
        Mode::Eight => "64000",
        Mode::Seven => "56000",
        Mode::Six => "48000",
    };
    piped(
        Command::new("python3").args(["-c", SPANDSP, what, rate]),
        bytes,
    )
}

fn bytes(samples: &[i16]) -> Vec<u8> {
    samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect()
}

fn samples(bytes: &[u8]) -> Vec<i16> {
    let pairs = bytes.chunks_exact(2);
    pairs
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

/// A program's output for an input; both go at once, as neither fits into a pipe.
fn piped(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output.stdout
}
