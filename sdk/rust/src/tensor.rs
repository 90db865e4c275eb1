//! Tensors: what models are asked with and what they answer.

use crate::abi::{Encoding, kind};
use crate::error::{Error, Result};
use crate::message::Message;
use crate::turn::Turn;

/// Dimensions a tensor has at most.
pub const RANK_MOST: usize = 32;

/// The type of a tensor's elements, a code of ONNX. A number this crate does not know is no type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct DType(pub u16);

#[allow(missing_docs)]
impl DType {
    pub const FLOAT32: Self = Self(1);
    pub const UINT8: Self = Self(2);
    pub const INT8: Self = Self(3);
    pub const UINT16: Self = Self(4);
    pub const INT16: Self = Self(5);
    pub const INT32: Self = Self(6);
    pub const INT64: Self = Self(7);
    /// Each element is a u32 length and that many bytes of UTF-8.
    pub const STRING: Self = Self(8);
    pub const BOOL: Self = Self(9);
    pub const FLOAT16: Self = Self(10);
    pub const FLOAT64: Self = Self(11);
    pub const UINT32: Self = Self(12);
    pub const UINT64: Self = Self(13);
    pub const COMPLEX64: Self = Self(14);
    pub const COMPLEX128: Self = Self(15);
    pub const BFLOAT16: Self = Self(16);
    pub const FLOAT8E4M3FN: Self = Self(17);
    pub const FLOAT8E4M3FNUZ: Self = Self(18);
    pub const FLOAT8E5M2: Self = Self(19);
    pub const FLOAT8E5M2FNUZ: Self = Self(20);
    /// Types of less than a byte are packed, the first element in the low bits.
    pub const UINT4: Self = Self(21);
    pub const INT4: Self = Self(22);
    pub const FLOAT4E2M1: Self = Self(23);
    pub const FLOAT8E8M0: Self = Self(24);
    pub const UINT2: Self = Self(25);
    pub const INT2: Self = Self(26);

    /// Returns the bits of one element; 0 for text and for what is no type.
    pub const fn bits(self) -> u64 {
        match self.0 {
            15 => 128,
            7 | 11 | 13 | 14 => 64,
            1 | 6 | 12 => 32,
            4 | 5 | 10 | 16 => 16,
            2 | 3 | 9 | 17..=20 | 24 => 8,
            21..=23 => 4,
            25 | 26 => 2,
            _ => 0,
        }
    }

    /// Returns the bytes that so many elements take, or `None` where they have no such number.
    fn bytes(self, elements: Option<u64>) -> Option<usize> {
        let bits = elements?.checked_mul(self.bits()).filter(|_| self.bits() > 0)?;
        usize::try_from(bits.div_ceil(8)).ok()
    }
}

/// A Rust type that tensors have elements of.
pub trait Element: Copy + sealed::Sealed {
    /// Its type code.
    const DTYPE: DType;
    /// Its length.
    const BYTES: usize;
    #[doc(hidden)]
    fn put(self, at: &mut [u8]);
    #[doc(hidden)]
    fn get(at: &[u8]) -> Self;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! elements {
    ($($type:ty => $dtype:ident),+ $(,)?) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const DTYPE: DType = DType::$dtype;
            const BYTES: usize = size_of::<$type>();
            fn put(self, at: &mut [u8]) {
                at.copy_from_slice(&self.to_le_bytes());
            }
            fn get(at: &[u8]) -> Self {
                let mut bytes = [0; size_of::<$type>()];
                bytes.copy_from_slice(at);
                Self::from_le_bytes(bytes)
            }
        }
    )+};
}

elements! {
    f32 => FLOAT32, f64 => FLOAT64, i8 => INT8, i16 => INT16, i32 => INT32, i64 => INT64, u8 => UINT8, u16 => UINT16,
    u32 => UINT32, u64 => UINT64,
}

/// A tensor's dimensions.
#[derive(Clone, Copy, Debug)]
pub enum Shape<'a> {
    /// As an agent has them.
    Numbers(&'a [i64]),
    /// As they lie in a body: eight bytes each.
    Bytes(&'a [u8]),
}

impl<'a> Shape<'a> {
    /// Returns how many dimensions there are.
    pub const fn rank(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Bytes(bytes) => bytes.len() / 8,
        }
    }

    /// Returns one dimension.
    pub fn get(&self, axis: usize) -> Option<i64> {
        match self {
            Self::Numbers(numbers) => numbers.get(axis).copied(),
            Self::Bytes(bytes) => bytes.get(8 * axis..8 * axis + 8).map(i64::get),
        }
    }

    /// Returns the dimensions in their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + use<'a> {
        let shape = *self;
        (0..shape.rank()).filter_map(move |axis| shape.get(axis))
    }

    /// Returns how many elements there are, 1 for a scalar; `None` where a dimension is below 0 or they are too many.
    pub fn elements(&self) -> Option<u64> {
        let mut total = Some(1_u64);
        for dimension in self.iter() {
            let dimension = u64::try_from(dimension).ok()?;
            total = if dimension == 0 { Some(0) } else { total.and_then(|count| count.checked_mul(dimension)) };
            if total == Some(0) {
                // However large the others are: there are none. They only must not be below 0.
                return self.iter().all(|dimension| dimension >= 0).then_some(0);
            }
        }
        total
    }
}

impl<'a> From<&'a [i64]> for Shape<'a> {
    fn from(numbers: &'a [i64]) -> Self {
        Self::Numbers(numbers)
    }
}

impl<'a, const N: usize> From<&'a [i64; N]> for Shape<'a> {
    fn from(numbers: &'a [i64; N]) -> Self {
        Self::Numbers(numbers)
    }
}

/// A tensor. It owns nothing: one that was read lies in the message.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    /// Of the model's input or output; empty for the one at the tensor's place.
    pub name: &'a str,
    /// Type of the elements.
    pub dtype: DType,
    /// Dimensions.
    pub shape: Shape<'a>,
    /// Elements row by row, little-endian, without gaps.
    pub data: &'a [u8],
}

impl<'a> Tensor<'a> {
    /// Returns a tensor of bytes that lie as they do in a body.
    pub fn new(name: &'a str, dtype: DType, shape: impl Into<Shape<'a>>, data: &'a [u8]) -> Self {
        Self { name, dtype, shape: shape.into(), data }
    }

    /// Returns the elements in row-major order. Errors: `BadMessage` where they are of another type.
    pub fn elements<T: Element>(&self) -> Result<impl ExactSizeIterator<Item = T> + use<'a, T>> {
        if self.dtype != T::DTYPE {
            return Err(Error::BadMessage);
        }
        Ok(self.data.chunks_exact(T::BYTES).map(T::get))
    }

    /// Returns whether the data is as long as type and shape say. The elements of a text are not looked at.
    fn fits(&self) -> bool {
        self.dtype == DType::STRING || self.dtype.bytes(self.shape.elements()) == Some(self.data.len())
    }

    /// Returns how many bytes it takes in a body. Errors: `TooBig` for what is no tensor that could be asked with.
    fn bytes(&self) -> Result<usize> {
        if self.shape.rank() > RANK_MOST || !self.fits() {
            return Err(Error::TooBig);
        }
        Ok(head_bytes(self.shape.rank(), self.name.len()) + self.data.len().next_multiple_of(8))
    }

    /// Writes it to the start of `at`, a window's region for one, and returns how many bytes it took, a multiple of 8.
    /// Errors: `TooBig` where it does not fit, or its data is not as long as its type and shape say.
    pub fn write(&self, at: &mut [u8]) -> Result<usize> {
        let length = self.bytes()?;
        self.put(at.get_mut(..length).ok_or(Error::TooBig)?);
        Ok(length)
    }

    /// Writes it where [`Tensor::bytes`] are free, and returns what is behind.
    fn put<'b>(&self, at: &'b mut [u8]) -> &'b mut [u8] {
        let (data, rest) = put_head(at, self.name, self.dtype, self.shape, self.data.len());
        data.copy_from_slice(self.data);
        rest
    }
}

/// Returns the bytes of a tensor before its data.
const fn head_bytes(rank: usize, name_length: usize) -> usize {
    16 + 8 * rank + name_length.next_multiple_of(8)
}

/// Writes all but the data of a tensor, and returns where the data goes and what is behind.
fn put_head<'b>(
    at: &'b mut [u8],
    name: &str,
    dtype: DType,
    shape: Shape<'_>,
    length: usize,
) -> (&'b mut [u8], &'b mut [u8]) {
    let rank = shape.rank();
    let (head, rest) = at.split_at_mut(head_bytes(rank, name.len()));
    let (data, rest) = rest.split_at_mut(length.next_multiple_of(8));
    dtype.0.put(&mut head[0..2]);
    (rank as u16).put(&mut head[2..4]);
    (name.len() as u32).put(&mut head[4..8]);
    (length as u64).put(&mut head[8..16]);
    for (place, dimension) in head[16..].chunks_exact_mut(8).zip(shape.iter()) {
        dimension.put(place);
    }
    let named = &mut head[16 + 8 * rank..];
    named[..name.len()].copy_from_slice(name.as_bytes());
    named[name.len()..].fill(0);
    data[length..].fill(0);
    (&mut data[..length], rest)
}

/// The tensors of a body, one after the other. It ends behind the first error.
#[derive(Clone, Debug)]
pub struct Tensors<'a> {
    rest: &'a [u8],
}

impl<'a> Tensors<'a> {
    /// Returns the tensors that lie in `body`.
    pub const fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    fn read(&mut self) -> Option<Tensor<'a>> {
        let head = self.rest.get(..16)?;
        let (rank, name_length) = (u16::get(&head[2..4]) as usize, u32::get(&head[4..8]) as usize);
        let data_length = usize::try_from(u64::get(&head[8..16])).ok()?;
        let named = 16 + 8 * rank;
        let start = named.checked_add(name_length.checked_next_multiple_of(8)?)?;
        let end = start.checked_add(data_length)?;
        let tensor = Tensor {
            name: core::str::from_utf8(self.rest.get(named..named + name_length)?).ok()?,
            dtype: DType(u16::get(&head[0..2])),
            shape: Shape::Bytes(self.rest.get(16..named)?),
            data: self.rest.get(start..end)?,
        };
        self.rest = self.rest.get(end.next_multiple_of(8)..).unwrap_or_default();
        (rank <= RANK_MOST && tensor.fits()).then_some(tensor)
    }
}

impl<'a> Iterator for Tensors<'a> {
    type Item = Result<Tensor<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = self.read().ok_or(Error::BadMessage);
        if read.is_err() {
            self.rest = &[];
        }
        Some(read)
    }
}

impl<'a> Message<'a> {
    /// Returns the tensors it carries. Errors: `BadMessage` for a body of another encoding.
    pub fn tensors(&self) -> Result<Tensors<'a>> {
        if self.encoding() == Encoding::TENSOR { Ok(Tensors::new(self.body())) } else { Err(Error::BadMessage) }
    }

    /// Returns the tensor of that name. Errors: `NotFound`; `BadMessage` as [`Message::tensors`], and where the bytes
    /// before it are no tensors.
    pub fn tensor(&self, name: &str) -> Result<Tensor<'a>> {
        for tensor in self.tensors()? {
            let tensor = tensor?;
            if tensor.name == name {
                return Ok(tensor);
            }
        }
        Err(Error::NotFound)
    }
}

/// Asking models with tensors.
impl Turn<'_> {
    /// Asks the model at `handle` of `models` for its outputs on tensors, one for each input. Errors: also `TooBig`
    /// where a tensor's data is not as long as its type and shape say.
    pub fn infer_tensors(&mut self, handle: u32, tensors: &[Tensor<'_>]) -> Result {
        let mut length = 0_usize;
        for tensor in tensors {
            length = length.checked_add(tensor.bytes()?).ok_or(Error::TooBig)?;
        }
        self.compose(kind::INFER, Encoding::TENSOR, handle, length, |at| {
            tensors.iter().fold(at, |at, tensor| tensor.put(at));
        })
    }

    /// Asks a model for its outputs on tensors that lie in a window which the agent writes or reads: `length` bytes at
    /// `offset`, as the window is when the tick is over.
    pub fn infer_window(&mut self, handle: u32, window: u32, offset: u64, length: u64) -> Result {
        let mut body = [0; 24];
        window.put(&mut body[0..4]);
        offset.put(&mut body[8..16]);
        length.put(&mut body[16..24]);
        self.write(kind::INFER, Encoding::IN_WINDOW, handle, &body)
    }

    /// Asks a model with one input for its outputs on these elements. Errors: as [`Turn::infer_tensors`].
    pub fn infer_elements<T: Element>(&mut self, handle: u32, shape: &[i64], elements: &[T]) -> Result {
        let (shape, data) = (Shape::Numbers(shape), size_of_val(elements));
        if shape.rank() > RANK_MOST || shape.elements() != Some(elements.len() as u64) {
            return Err(Error::TooBig);
        }
        let length = head_bytes(shape.rank(), 0) + data.next_multiple_of(8);
        self.compose(kind::INFER, Encoding::TENSOR, handle, length, |at| {
            let (places, _) = put_head(at, "", T::DTYPE, shape, data);
            for (place, element) in places.chunks_exact_mut(T::BYTES).zip(elements) {
                element.put(place);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{DType, Shape, Tensor, Tensors};
    use crate::Error;

    #[test]
    fn what_is_written_is_read_and_what_is_cut_off_is_not() {
        let data = [1, 2, 3, 4, 5, 6];
        let tensor = Tensor::new("three", DType::INT16, &[3, 1], &data);
        let mut body = [0xff; 48];
        assert_eq!(tensor.bytes(), Ok(48));
        assert!(tensor.put(&mut body).is_empty());
        let read = Tensors::new(&body).next().expect("one").expect("whole");
        assert_eq!((read.name, read.dtype, read.data), ("three", DType::INT16, &data[..]));
        assert!(read.shape.iter().eq([3, 1]));
        assert!(read.elements::<i16>().expect("its type").eq([0x201, 0x403, 0x605]));
        assert_eq!(read.elements::<u16>().err(), Some(Error::BadMessage));
        for length in 1..46 {
            assert!(Tensors::new(&body[..length]).next().expect("something").is_err());
        }
    }

    #[test]
    fn what_a_shape_cannot_say_is_no_number() {
        assert_eq!(Shape::Numbers(&[1 << 40, 1 << 40]).elements(), None);
        assert_eq!(Shape::Numbers(&[1 << 40, 1 << 40, 0]).elements(), Some(0));
        assert_eq!(Shape::Numbers(&[0, -1]).elements(), None);
        assert_eq!(Shape::Numbers(&[]).elements(), Some(1));
        assert_eq!(Tensor::new("", DType::FLOAT32, &[2], &[0; 4]).bytes().err(), Some(Error::TooBig));
        assert_eq!(Tensor::new("", DType(99), &[0], &[]).bytes().err(), Some(Error::TooBig));
    }
}
