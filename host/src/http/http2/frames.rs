//! The frames that a client sends, as far as their headers tell (RFC 9113 §4.1). Payloads are skipped.

/// Bytes of a frame before its payload.
const HEADER: usize = 9;

/// Bytes of the preface, which comes before the first frame (RFC 9113 §3.4).
const PREFACE: usize = 24;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Reset,
    Settings,
    Continuation,
    /// PRIORITY, `PUSH_PROMISE`, PING, GOAWAY, `WINDOW_UPDATE`, and unknown types.
    Other,
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    flags: u8,
    /// Bytes of its payload.
    pub(super) length: u32,
}

impl Frame {
    fn parse(header: [u8; HEADER]) -> Self {
        let [high, middle, low, kind, flags, ..] = header;
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::Headers,
            3 => Kind::Reset,
            4 => Kind::Settings,
            9 => Kind::Continuation,
            _ => Kind::Other,
        };
        Self { kind, flags, length: u32::from_be_bytes([0, high, middle, low]) }
    }

    /// Whether it is the last one of its sender on the stream, or acknowledges.
    pub(super) fn is_last(self) -> bool {
        self.flags & 1 != 0
    }

    /// Whether it begins or continues the head of a request or its trailers.
    fn is_of_head(self) -> bool {
        matches!(self.kind, Kind::Headers | Kind::Continuation)
    }

    /// Whether a head ends with it.
    fn ends_head(self) -> bool {
        self.is_of_head() && self.flags & 4 != 0
    }
}

/// Where in the frames of a client a connection is.
#[derive(Debug)]
pub(super) struct Scanner {
    /// Bytes of the preface or of a payload that are still to come.
    to_skip: usize,
    header: [u8; HEADER],
    /// Bytes of the header that have arrived.
    arrived: usize,
    /// The frame whose payload is skipped; `None` in the preface.
    frame: Option<Frame>,
    /// The number of heads that have begun.
    heads: u32,
    is_in_head: bool,
    has_settings: bool,
}

impl Scanner {
    pub(super) fn new() -> Self {
        Self {
            to_skip: PREFACE,
            header: [0; HEADER],
            arrived: 0,
            frame: None,
            heads: 0,
            is_in_head: false,
            has_settings: false,
        }
    }

    /// Goes on with what has arrived, and names each frame whose header is complete.
    pub(super) fn scan(&mut self, mut bytes: &[u8], mut begins: impl FnMut(Frame)) {
        loop {
            let skipped = self.to_skip.min(bytes.len());
            bytes = &bytes[skipped..];
            self.to_skip -= skipped;
            if self.to_skip > 0 {
                return;
            }
            if let Some(frame) = self.frame.take() {
                self.end(frame);
            }
            if bytes.is_empty() {
                return;
            }
            let taken = (HEADER - self.arrived).min(bytes.len());
            self.header[self.arrived..self.arrived + taken].copy_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            self.arrived += taken;
            if self.arrived < HEADER {
                return;
            }
            self.arrived = 0;
            let frame = Frame::parse(self.header);
            self.begin(frame);
            begins(frame);
            self.to_skip = frame.length as usize;
            self.frame = Some(frame);
        }
    }

    fn begin(&mut self, frame: Frame) {
        if frame.kind == Kind::Headers {
            self.heads = self.heads.wrapping_add(1);
            self.is_in_head = true;
        }
    }

    fn end(&mut self, frame: Frame) {
        self.has_settings |= frame.kind == Kind::Settings;
        if frame.ends_head() {
            self.is_in_head = false;
        }
    }

    /// The number of the head that is not complete, if there is one.
    pub(super) fn open_head(&self) -> Option<u32> {
        self.is_in_head.then_some(self.heads)
    }

    /// Whether the client has sent its settings.
    pub(super) fn has_settings(&self) -> bool {
        self.has_settings
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, Kind, Scanner};
    use proptest::prelude::{any, prop, proptest};

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn preface() -> Vec<u8> {
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()
    }

    fn scan(scanner: &mut Scanner, bytes: &[u8]) -> Vec<(Kind, u32)> {
        let mut found = Vec::new();
        scanner.scan(bytes, |frame| found.push((frame.kind, frame.length)));
        found
    }

    #[test]
    fn settings_count_when_they_are_complete() {
        let mut scanner = Scanner::new();
        let bytes = [preface(), frame(4, 0, &[0; 6])].concat();
        assert_eq!(scan(&mut scanner, &bytes[..bytes.len() - 1]), [(Kind::Settings, 6)]);
        assert!(!scanner.has_settings());
        scan(&mut scanner, &[0]);
        assert!(scanner.has_settings());
        // Also those that are empty.
        let mut scanner = Scanner::new();
        scan(&mut scanner, &[preface(), frame(4, 0, &[])].concat());
        assert!(scanner.has_settings());
    }

    #[test]
    fn a_head_is_open_until_the_frame_that_ends_it_is_complete() {
        let mut scanner = Scanner::new();
        scan(&mut scanner, &preface());
        scan(&mut scanner, &frame(1, 0, b"abc"));
        assert_eq!(scanner.open_head(), Some(1));
        scan(&mut scanner, &frame(9, 0, b"abc"));
        assert_eq!(scanner.open_head(), Some(1));
        let last = frame(9, 4, b"abc");
        scan(&mut scanner, &last[..11]);
        assert_eq!(scanner.open_head(), Some(1));
        scan(&mut scanner, &last[11..]);
        assert_eq!(scanner.open_head(), None);
        scan(&mut scanner, &frame(1, 5, b"abc")[..9]);
        assert_eq!(scanner.open_head(), Some(2));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_bytes_are_cut(
            frames in prop::collection::vec((any::<u8>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..20),
            cuts in prop::collection::vec(1..50_usize, 1..20),
        ) {
            let mut bytes = preface();
            let mut expected = Vec::new();
            for (kind, flags, payload) in &frames {
                let frame = frame(*kind, *flags, payload);
                expected.push(Frame::parse(frame[..9].try_into().unwrap()));
                bytes.extend(frame);
            }
            let (mut scanner, mut found) = (Scanner::new(), Vec::new());
            let mut rest = bytes.as_slice();
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                scanner.scan(piece, |frame| found.push(frame));
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            assert_eq!(found, expected);
        }
    }
}
