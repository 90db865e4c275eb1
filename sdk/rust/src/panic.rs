//! A panic becomes a trap whose text says what happened and where: `abort: MESSAGE (FILE:LINE:COLUMN)`.

use core::cell::UnsafeCell;
use core::fmt::{self, Write};
use core::panic::PanicInfo;

/// Text as AssemblyScript keeps it and as `env.abort` takes it: UTF-16, its length in bytes in the four bytes before.
#[repr(C)]
struct Wide<const N: usize> {
    bytes: u32,
    units: [u16; N],
}

/// What is told of a panic. It lies outside the stack, which may be what has run out.
struct Told {
    message: Wide<512>,
    file: Wide<256>,
}

struct Kept(UnsafeCell<Told>);

// SAFETY: a module has one thread.
unsafe impl Sync for Kept {}

static TOLD: Kept = Kept(UnsafeCell::new(Told { message: Wide::EMPTY, file: Wide::EMPTY }));

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn abort(message: *const u16, file: *const u16, line: u32, column: u32);
}

impl<const N: usize> Wide<N> {
    const EMPTY: Self = Self { bytes: 0, units: [0; N] };
}

impl<const N: usize> Write for Wide<N> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        for unit in piece.encode_utf16() {
            *self.units.get_mut(self.bytes as usize / 2).ok_or(fmt::Error)? = unit;
            self.bytes += 2;
        }
        Ok(())
    }
}

#[panic_handler]
fn panicked(panic: &PanicInfo<'_>) -> ! {
    // SAFETY: nothing else refers to these texts, and nothing runs after this.
    let told = unsafe { &mut *TOLD.0.get() };
    (told.message.bytes, told.file.bytes) = (0, 0);
    // What does not fit is cut off.
    let _ = write!(told.message, "{}", panic.message());
    let (line, column) = panic.location().map_or((0, 0), |place| {
        let _ = told.file.write_str(place.file());
        (place.line(), place.column())
    });
    // SAFETY: both texts are laid out as the host reads them.
    unsafe { abort(told.message.units.as_ptr(), told.file.units.as_ptr(), line, column) };
    core::arch::wasm32::unreachable()
}
