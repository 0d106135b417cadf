//! The scripts of the project, as far as a test can replace what they run with something smaller.

use crate::support::{LATER, SOON, eventually, free_port};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Whether a process runs; a zombie does not.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

/// A folder with what starts Drover, and nothing to set up.
fn with_run() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in ["scripts/run", "scripts/env"] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        write(&dir.path().join(file), &text);
    }
    write(&dir.path().join("scripts/setup"), "#!/bin/sh\n");
    dir
}

#[tokio::test]
async fn a_run_that_is_told_to_stop_ends_its_build_with_everything_that_builds() {
    let dir = with_run();
    // A compiler's child, which gets no signal when its parent ends.
    let build =
        "build:\n\t@sh -c 'sleep 600 & echo $$! >>pids; echo $$$$ >>pids; sleep 601'\nrun:\n\t@exec scripts/run\n";
    std::fs::write(dir.path().join("Makefile"), build).unwrap();
    for way in [&["make", "run"][..], &["scripts/run"]] {
        let _ = std::fs::remove_file(dir.path().join("pids"));
        let mut child = Command::new(way[0])
            .args(&way[1..])
            .current_dir(dir.path())
            .env("DROVER_REDIS_URL", "redis://127.0.0.1:1")
            .env("DROVER_LISTEN", format!("127.0.0.1:{}", free_port()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pids = eventually("the build runs", SOON, || async {
            let pids = std::fs::read_to_string(dir.path().join("pids")).ok()?;
            let pids: Vec<String> = pids.lines().map(str::to_owned).collect();
            (pids.len() == 2 && pids.iter().all(|pid| runs(pid))).then_some(pids)
        })
        .await;
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        eventually("its end", LATER, || std::future::ready(child.try_wait().unwrap())).await;
        eventually("the end of the build", LATER, || async {
            pids.iter().all(|pid| !runs(pid)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn the_demo_runs_what_has_a_python_environment_and_says_what_has_none() {
    for (environments, lists) in [(&["celery"][..], false), (&["celery", "arq"], true)] {
        let dir = with_run();
        let script = |file: &str, body: &str| write(&dir.path().join(file), &format!("#!/bin/sh\n{body}\n"));
        let stays = "echo $$ >>pids; exec sleep 600";
        std::fs::write(dir.path().join("Makefile"), "build:\n").unwrap();
        script("bin/node", &format!("[ \"$1\" != -e ] || {{ echo 1; exit; }}; {stays}"));
        script("bin/redis-server", stays);
        script("bin/redis-cli", "echo PONG");
        // There is no Postgres, also for root, who starts one as another user.
        script("bin/initdb", "exit 1");
        script("bin/setpriv", "exit 1");
        script("bin/curl", "exit 0");
        script(
            "target/release/drover",
            &format!("cp \"$DROVER_CONFIG\" config; {stays}"),
        );
        for name in environments {
            script(&format!(".tools/{name}/bin/python"), stays);
            write(&dir.path().join(format!(".tools/{name}/requirements.txt")), "");
        }
        let file = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
        let mut child = Command::new("scripts/run")
            .current_dir(dir.path())
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", dir.path().join("bin").display()))
            .env("HOME", dir.path())
            .env("TMPDIR", dir.path())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.path().join("said")).unwrap())
            .spawn()
            .unwrap();
        // Redis, the shop, Drover, and the parts in Python.
        let parts = 3 + if lists { 3 } else { 1 };
        let pids = eventually("all parts run", LATER, || async {
            let pids: Vec<String> = file("pids").lines().map(str::to_owned).collect();
            (pids.len() == parts).then_some(pids)
        })
        .await;
        let (config, said) = (file("config"), file("said"));
        assert!(config.contains("url = \"redis://127.0.0.1:1\""), "{config}");
        assert!(config.contains("id = \"letters\""), "{config}");
        assert_eq!(config.contains("[[store.list]]"), lists, "{config}");
        assert_eq!(said.contains("the demo runs without its suppliers"), !lists, "{said}");
        assert!(!said.contains("without its office"), "{said}");
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        eventually("its end", LATER, || std::future::ready(child.try_wait().unwrap())).await;
        assert!(pids.iter().all(|pid| !runs(pid)), "{pids:?}");
    }
}

#[test]
fn a_server_is_compiled_again_only_for_files_of_the_page_that_changed() {
    let dir = tempfile::tempdir().unwrap();
    let script = std::fs::read_to_string(root().join("scripts/cargo-server")).unwrap();
    write(&dir.path().join("scripts/cargo-server"), &script);
    write(&dir.path().join("bin/cargo"), "#!/bin/sh\necho \"$@\"\n");
    let (site, embedded) = (dir.path().join("target/site"), dir.path().join("target/embedded"));
    let build = |arguments: &[&str]| {
        let path = format!("{}:/usr/bin:/bin", dir.path().join("bin").display());
        let output = Command::new(dir.path().join("scripts/cargo-server"))
            .args(arguments)
            .env("PATH", path)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), arguments.join(" "));
    };
    let modified = |file: &str| {
        std::fs::metadata(embedded.join(file))
            .and_then(|meta| meta.modified())
            .ok()
    };
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let code = dir
        .path()
        .join("target/front/wasm32-unknown-unknown/wasm-release/drover.wasm");
    write(&code, "code");
    let files = ["pkg/a.js", "pkg/b.wasm", "robots.txt"];
    for file in files {
        write(&site.join(file), file);
    }
    write(&site.join("pkg/a.js.gz"), "at one time");
    build(&["build", "--release"]);
    for file in files {
        let old = std::fs::File::options().write(true).open(embedded.join(file)).unwrap();
        old.set_modified(long_ago).unwrap();
    }
    // The same code, of which the WebAssembly is another one each time.
    write(&site.join("pkg/b.wasm"), "made of the same code");
    write(&site.join("pkg/a.js.gz"), "at another time");
    build(&["build", "--release"]);
    assert_eq!(modified("pkg/b.wasm"), Some(long_ago));
    assert_eq!(modified("pkg/a.js.gz"), None, "it is never served");
    write(&code, "other code");
    // All are written again: one is the same, one differs, one is gone, one is new.
    write(&site.join("pkg/a.js"), "pkg/a.js");
    write(&site.join("pkg/b.wasm"), "changed");
    std::fs::remove_file(site.join("robots.txt")).unwrap();
    write(&site.join("pkg/c.css"), "new");
    build(&["build", "--release"]);
    assert_eq!(modified("pkg/a.js"), Some(long_ago), "what is the same stays as it was");
    assert!(modified("pkg/b.wasm").unwrap() > long_ago);
    assert_eq!(modified("robots.txt"), None);
    assert_eq!(std::fs::read_to_string(embedded.join("pkg/c.css")).unwrap(), "new");
    let list = std::fs::read_to_string(dir.path().join("target/embedded.list")).unwrap();
    assert_eq!(list, "./pkg/a.js\n./pkg/b.wasm\n./pkg/c.css\n");
}
