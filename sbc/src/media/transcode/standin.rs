//! Until the codecs are here.

pub(super) mod g711 {
    pub(in super::super) mod ulaw {
        pub(in super::super::super) fn decode(octet: u8) -> i16 {
            i16::from(octet) << 7
        }
        pub(in super::super::super) fn encode(sample: i16) -> u8 {
            (sample >> 7) as u8
        }
    }
    pub(in super::super) use ulaw as alaw;
}
pub(super) mod conceal {
    #[derive(Debug)]
    pub(in super::super) struct Concealer;
    impl Concealer {
        pub(in super::super) fn new() -> Self {
            Concealer
        }
        pub(in super::super) fn good(&mut self, _samples: &mut [i16]) {}
        pub(in super::super) fn lost(&mut self, out: &mut [i16]) {
            out.fill(0);
        }
    }
}
pub(super) mod comfort_noise {
    #[derive(Debug)]
    pub(in super::super) struct Generator;
    impl Generator {
        pub(in super::super) fn new(_seed: u64) -> Self {
            Generator
        }
        pub(in super::super) fn describe(&mut self, _payload: &[u8]) {}
        pub(in super::super) fn make(&mut self, out: &mut [i16]) {
            out.fill(8);
        }
    }
}
pub(super) mod tone {
    pub(in super::super) struct Dtmf(u8);
    impl Dtmf {
        pub(in super::super) fn new(code: u8) -> Option<Self> {
            (code < 16).then_some(Dtmf(code))
        }
    }
    #[derive(Debug)]
    pub(in super::super) struct Generator(i16);
    impl Generator {
        pub(in super::super) fn new() -> Self {
            Generator(0)
        }
        pub(in super::super) fn begin(&mut self, key: Dtmf, _volume: u8) {
            self.0 = i16::from(key.0) * 128 + 4096;
        }
        pub(in super::super) fn end(&mut self) {}
        pub(in super::super) fn make(&mut self, out: &mut [i16]) {
            out.fill(self.0);
        }
    }
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) code: u8,
    pub(super) end: bool,
    pub(super) volume: u8,
    pub(super) duration: u16,
}
impl Event {
    pub(super) const LENGTH: usize = 4;
    pub(super) fn read(payload: &[u8]) -> Result<Event, ()> {
        let &[code, flags, d0, d1] = payload.first_chunk().ok_or(())?;
        Ok(Event {
            code,
            end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration: u16::from_be_bytes([d0, d1]),
        })
    }
    pub(super) fn is_key(self) -> bool {
        self.code < 16
    }
}
