//! latchkey beside FreeRADIUS: `cargo bench` (or `make bench`) starts both with the same 10,000 devices, puts the
//! same load on them in turn, and prints one table. It fails when a bound is missed.

mod fleet;
mod freeradius;
mod load;
mod process;
mod radius;
mod table;
use freeradius::FreeRadius;
use load::Load;
use std::process::ExitCode;
use std::time::Duration;
fn run() -> Result<(), String> {
    let devices = fleet::make(1);
    let dir = tempfile::tempdir().unwrap();
    let fr = FreeRadius::start(dir.path(), &devices)?;
    println!("{}", fr.version);
    let mut load = Load::new(fr.address, freeradius::SECRET, &devices)?;
    for _ in 0..3 {
        let c = fr.server.cpu()?;
        let o = load.run(Duration::from_secs(3))?;
        let c = fr.server.cpu()? - c;
        println!("{} {:?} gen {:?} cpu {:?} {:.1} us rss {}", o.answers as f64 / o.elapsed.as_secs_f64(), o.elapsed, o.generator, c, c.as_secs_f64() * 1e6 / o.answers as f64, fr.server.rss()?);
    }
    Ok(())
}
fn main() -> ExitCode {
    if let Err(e) = run() { eprintln!("{e}"); return ExitCode::FAILURE; }
    ExitCode::SUCCESS
}
