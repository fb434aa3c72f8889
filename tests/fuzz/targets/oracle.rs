//! JSON as a person would parse it: recursively, building everything. What the router's scanner says is compared with it.

/// A value, and the text that it was read from.
#[derive(Clone, Debug)]
pub struct Json<'a> {
    pub text: &'a [u8],
    pub value: Value<'a>,
}

/// What a value is. Strings are UTF-16 as in JavaScript, for half a surrogate pair is a string there.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    Null,
    Bool,
    Number,
    String(Vec<u16>),
    Array(Vec<Json<'a>>),
    Object(Vec<Member<'a>>),
}

/// A member of an object.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// The key as it is written, quotes included.
    pub written: &'a [u8],
    pub key: Vec<u16>,
    pub value: Json<'a>,
}

/// Why a text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Bad,
    TooDeep,
}

/// Reads a text of which no container is nested deeper than `limit`.
pub fn parse(text: &[u8], limit: usize) -> Result<Json<'_>, Fault> {
    let mut parser = Parser { text, at: 0, limit };
    let json = parser.value(0)?;
    parser.space();
    if parser.at == text.len() { Ok(json) } else { Err(Fault::Bad) }
}

impl<'a> Json<'a> {
    /// The text, which must be UTF-8.
    pub fn text(&self) -> &'a str {
        std::str::from_utf8(self.text).expect("the whole was UTF-8")
    }

    /// The last member of this name.
    pub fn member(&self, name: &str) -> Option<&Json<'a>> {
        let name: Vec<u16> = name.encode_utf16().collect();
        let found = |member: &&Member<'_>| member.key == name;
        self.members().iter().rev().find(found).map(|member| &member.value)
    }

    /// The members of an object; none of anything else.
    pub fn members(&self) -> &[Member<'a>] {
        match &self.value {
            Value::Object(members) => members,
            _ => &[],
        }
    }

    /// The items of an array; none of anything else.
    pub fn items(&self) -> &[Json<'a>] {
        match &self.value {
            Value::Array(items) => items,
            _ => &[],
        }
    }

    /// A string that is Unicode.
    pub fn string(&self) -> Option<String> {
        match &self.value {
            Value::String(units) => String::from_utf16(units).ok(),
            _ => None,
        }
    }

    pub fn is_object(&self) -> bool {
        matches!(self.value, Value::Object(_))
    }

    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    limit: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self, depth: usize) -> Result<Json<'a>, Fault> {
        self.space();
        let start = self.at;
        let value = match self.peek() {
            Some(b'{') => self.object(depth + 1)?,
            Some(b'[') => self.array(depth + 1)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b't') => self.word("true", Value::Bool)?,
            Some(b'f') => self.word("false", Value::Bool)?,
            Some(b'n') => self.word("null", Value::Null)?,
            _ => self.number()?,
        };
        Ok(Json { text: &self.text[start..self.at], value })
    }

    fn object(&mut self, depth: usize) -> Result<Value<'a>, Fault> {
        self.open(depth)?;
        let mut members = Vec::new();
        if self.eat(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.space();
            let start = self.at;
            let key = self.string()?;
            let written = &self.text[start..self.at];
            if !self.eat(b':') {
                return Err(Fault::Bad);
            }
            members.push(Member { written, key, value: self.value(depth)? });
            if self.eat(b'}') {
                return Ok(Value::Object(members));
            } else if !self.eat(b',') {
                return Err(Fault::Bad);
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value<'a>, Fault> {
        self.open(depth)?;
        let mut items = Vec::new();
        if self.eat(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            if self.eat(b']') {
                return Ok(Value::Array(items));
            } else if !self.eat(b',') {
                return Err(Fault::Bad);
            }
        }
    }

    fn open(&mut self, depth: usize) -> Result<(), Fault> {
        self.at += 1;
        if depth > self.limit { Err(Fault::TooDeep) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<Vec<u16>, Fault> {
        if self.peek() != Some(b'"') {
            return Err(Fault::Bad);
        }
        self.at += 1;
        let mut units = Vec::new();
        let mut plain = self.at;
        loop {
            let byte = self.peek().ok_or(Fault::Bad)?;
            if byte < 0x20 {
                return Err(Fault::Bad);
            }
            if byte == b'"' || byte == b'\\' {
                units.extend(String::from_utf8_lossy(&self.text[plain..self.at]).encode_utf16());
            }
            self.at += 1;
            match byte {
                b'"' => return Ok(units),
                b'\\' => {
                    units.push(self.escape()?);
                    plain = self.at;
                }
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Result<u16, Fault> {
        let byte = self.peek().ok_or(Fault::Bad)?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => u16::from(byte),
            b'b' => 8,
            b'f' => 12,
            b'n' => 10,
            b'r' => 13,
            b't' => 9,
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4).ok_or(Fault::Bad)?;
                self.at += 4;
                let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
                let digits = std::str::from_utf8(digits).ok().filter(|_| is_hex).ok_or(Fault::Bad)?;
                u16::from_str_radix(digits, 16).map_err(|_| Fault::Bad)?
            }
            _ => return Err(Fault::Bad),
        })
    }

    fn number(&mut self) -> Result<Value<'a>, Fault> {
        self.skip(|byte| byte == b'-', 1);
        if self.skip(|byte| byte == b'0', 1) == 0 && self.skip(|byte| byte.is_ascii_digit(), usize::MAX) == 0
        {
            return Err(Fault::Bad);
        }
        if self.skip(|byte| byte == b'.', 1) == 1 && self.skip(|byte| byte.is_ascii_digit(), usize::MAX) == 0
        {
            return Err(Fault::Bad);
        }
        if self.skip(|byte| matches!(byte, b'e' | b'E'), 1) == 1 {
            self.skip(|byte| matches!(byte, b'+' | b'-'), 1);
            if self.skip(|byte| byte.is_ascii_digit(), usize::MAX) == 0 {
                return Err(Fault::Bad);
            }
        }
        Ok(Value::Number)
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, Fault> {
        if !self.text[self.at..].starts_with(word.as_bytes()) {
            return Err(Fault::Bad);
        }
        self.at += word.len();
        Ok(value)
    }

    fn space(&mut self) {
        self.skip(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'), usize::MAX);
    }

    /// Passes a byte that may stand behind white space.
    fn eat(&mut self, byte: u8) -> bool {
        self.space();
        let is_it = self.peek() == Some(byte);
        self.at += usize::from(is_it);
        is_it
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip(&mut self, which: impl Fn(u8) -> bool, most: usize) -> usize {
        let count = self.text[self.at..].iter().take(most).take_while(|byte| which(**byte)).count();
        self.at += count;
        count
    }
}
