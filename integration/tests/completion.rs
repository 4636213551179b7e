//! Completions in the shells themselves: the script is read by the shell, which is then asked what
//! it would offer.

use std::path::{Path, PathBuf};

use integration::{Need, Scene, bundle};

/// Asks bash as readline does: the words so far in `COMP_WORDS`, the last one being typed.
const BASH: &str = r#"
source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_keel
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// Asks zsh by typing into another zsh on a terminal. Everything that its completion adds goes
/// through `compadd`, which writes it down; calls that only fill arrays of their own add nothing.
const ZSH: &str = r##"
zmodload zsh/zpty || exit 3
export TERM=dumb ANSWER=$3
zpty shell zsh -f -i
zpty -w shell "PROMPT= PROMPT2= RPROMPT=; autoload -Uz compinit && compinit -u -D; source $1"
zpty -w shell 'compadd() {
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
    local -a offered
    builtin compadd -A offered "$@"
    print -rl -- $offered >>$ANSWER
    builtin compadd "$@"
}'
zpty -w shell 'ask() { _main_complete; print -r -- THE END >>$ANSWER }; zle -C ask list-choices ask; bindkey "^T" ask'
zpty -w shell "print REA''DY"
zpty -r shell answer '*READY*'
zpty -w -n shell "$2"$'\x14'
# With more input waiting, zsh would not complete at all.
until [[ $(<$ANSWER) == *THE\ END* ]]; do sleep 0.01; done
zpty -w -n shell $'\x15'
zpty -w shell "print DO''NE"
zpty -r shell answer '*DONE*'
zpty -d shell
"##;

/// A shell that has read the script.
struct Shell<'a> {
    scene: &'a Scene,
    name: &'static str,
    script: PathBuf,
}

impl<'a> Shell<'a> {
    fn new(scene: &'a Scene, name: &'static str) -> Self {
        let text = scene.keel(["completion", name]).run().ok().stdout;
        let script = scene.dir().join(format!("completion.{name}"));
        bundle::write(&script, text.as_bytes());
        Self { scene, name, script }
    }

    /// What the shell offers for the last of these words, in order, without descriptions.
    fn offers(&self, words: &[&str]) -> Vec<String> {
        let line = words.join(" ");
        let call = self.scene.call(self.name);
        let call = match self.name {
            "bash" => {
                let call = call.args(["--norc", "-c", BASH, "bash"]).arg(&self.script);
                call.args(words.iter().flat_map(|word| cut(word)))
            }
            "fish" => {
                let ask = "source $argv[1]; complete -C $argv[2]";
                call.args(["--no-config", "-c", ask]).arg(&self.script).arg(&line)
            }
            _ => {
                let answer = self.scene.dir().join(self.scene.id());
                bundle::write(&answer, b"");
                let call = call.args(["-f", "-c", ZSH, "zsh"]).arg(&self.script).arg(&line);
                let call = call.arg(&answer);
                self.home(call).run().ok();
                return sorted(&std::fs::read_to_string(answer).expect("an answer"));
            }
        };
        sorted(&self.home(call).run().ok().stdout)
    }

    /// The shell finds the command, and leaves the caller's home alone.
    fn home(&self, call: integration::runtime::Invocation) -> integration::runtime::Invocation {
        let program = self.scene.runtime().program().parent().unwrap_or(Path::new("/"));
        let path = std::env::var("PATH").unwrap_or_default();
        call.env("PATH", format!("{}:{path}", program.display()))
            .env("HOME", self.scene.directory("home"))
            .env("XDG_CONFIG_HOME", self.scene.directory("home"))
            .env("XDG_DATA_HOME", self.scene.directory("home"))
            .cwd(self.scene.directory("work"))
    }
}

/// A word as bash cuts it for its completions.
fn cut(word: &str) -> Vec<&str> {
    match word.split_once('=') {
        None => vec![word],
        Some((before, "")) => vec![before, "="],
        Some((before, after)) => vec![before, "=", after],
    }
}

fn sorted(text: &str) -> Vec<String> {
    let offered = text.lines().map(|line| line.split('\t').next().unwrap_or_default().trim());
    let mut offered: Vec<String> =
        offered.filter(|word| !word.is_empty()).map(str::to_owned).collect();
    offered.retain(|word| word != "THE END");
    offered.sort();
    offered.dedup();
    offered
}

/// What every shell must offer.
fn completes(name: &'static str) {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Program(name)]) else { return };
    let shell = Shell::new(&scene, name);
    let container = scene.create(&scene.bundle().sleeping());
    let (id, root) = (container.id(), scene.state_root());
    let root = root.to_str().expect("UTF-8");
    let tag = scene.tag();
    std::fs::create_dir(scene.directory("work").join("sub")).expect("mkdir");
    bundle::write(&scene.directory("work").join("some.json"), b"{}");
    let cases: &[(&[&str], &[&str])] = &[
        (&["keel", "cre"], &["create"]),
        (&["keel", "--root", root, "st"], &["start", "state"]),
        (&["keel", "--cgroup-man"], &["--cgroup-manager"]),
        (&["keel", "--log-format", ""], &["json", "text"]),
        (&["keel", "list", "--form"], &["--format"]),
        (&["keel", "list", "--format", ""], &["json", "table"]),
        (&["keel", "list", "-f", "j"], &["json"]),
        (&["keel", "explain", "--for", "c"], &["create"]),
        (&["keel", "help", "kil"], &["kill"]),
        (&["keel", "completion", ""], &["bash", "fish", "zsh"]),
        (&["keel", "--root", root, "state", tag], &[id]),
        (&["keel", "--root", root, "kill", "--all", tag], &[id]),
        (&["keel", "--root", root, "exec", "--env", "A=1", tag], &[id]),
        // Of another state root, or where a new id is wanted, there is none.
        (&["keel", "state", tag], &[]),
        (&["keel", "--root", root, "create", tag], &[]),
        // What runs in the container is not keel's to complete.
        (&["keel", "exec", id, "--en"], &[]),
    ];
    for (words, expected) in cases {
        assert_eq!(shell.offers(words), *expected, "{name}: {words:?}");
    }
    for words in [["keel", "explain", "s"], ["keel", "create", "--bundle=s"]] {
        let offered = shell.offers(&words);
        // Some shells offer the flag's name with the value, or a slash behind a directory.
        let ours: Vec<&str> = offered.iter().map(|word| word.trim_end_matches('/')).collect();
        assert!(ours.len() == 1 && ours[0].ends_with("sub"), "{name}: {offered:?}");
    }
    let files = shell.offers(&["keel", "create", "--config", "so"]);
    assert_eq!(files, ["some.json"], "{name}");
    container.end();
}

#[test]
fn bash_completes() {
    completes("bash");
}

#[test]
fn bash_puts_up_with_an_equals_sign_which_it_takes_for_a_word() {
    let Some(scene) = Scene::needing(&[Need::Keel, Need::Program("bash")]) else { return };
    let shell = Shell::new(&scene, "bash");
    let container = scene.create(&scene.bundle().sleeping());
    let root = scene.state_root();
    let root = root.to_str().expect("UTF-8");
    for words in [
        &["keel", &format!("--root={root}"), "delete", "--force", ""][..],
        &["keel", "-root", root, "delete", ""],
        &["keel", "--debug", "--root", root, "delete", "--", ""],
    ] {
        assert_eq!(shell.offers(words), [container.id()], "{words:?}");
    }
    assert_eq!(shell.offers(&["keel", "list", "--format="]), ["json", "table"]);
    assert_eq!(shell.offers(&["keel", "list", "--format=t"]), ["table"]);
    container.end();
}

#[test]
fn fish_completes() {
    completes("fish");
}

#[test]
fn zsh_completes() {
    completes("zsh");
}

#[test]
fn another_shell_has_no_completion() {
    let Some(scene) = Scene::needing(&[Need::Keel]) else { return };
    let outcome = scene.keel(["completion", "tcsh"]).run().exits(1).refused();
    assert_eq!(outcome.stderr, "keel: no completion for \"tcsh\": bash, fish or zsh\n");
}
