//! scan
#[path = "layers/source.rs"]
mod source;
#[test]
fn dump() {
    let mut all = vec![];
    for d in ["libcontainer/src", "libcontainer/init/src", "runtime-cli/src"] {
        for s in source::below(d) {
            all.push(s.lines);
            if s.lines > 350 {
                println!("FILE {} {}", s.lines, s.path);
            }
            if s.is_test() {
                continue;
            }
            for f in s.functions() {
                if f.lines > 60 {
                    println!("FN {} {}:{} {}", f.lines, s.path, f.line, f.name);
                }
            }
            let top = s
                .path
                .trim_start_matches("libcontainer/src/")
                .split('/')
                .next()
                .unwrap()
                .to_owned();
            for p in s.paths() {
                println!("PATH {} {} {}", top, s.path, p.parts.join("::"));
            }
        }
    }
    all.sort();
    println!("MEDIAN {} of {} p90 {}", all[all.len() / 2], all.len(), all[all.len() * 9 / 10]);
}
