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

#[tokio::test]
async fn a_run_that_is_told_to_stop_ends_its_build_with_everything_that_builds() {
    let dir = tempfile::tempdir().unwrap();
    let copy = |file: &str| {
        write(
            &dir.path().join(file),
            &std::fs::read_to_string(root().join(file)).unwrap(),
        )
    };
    copy("scripts/run");
    copy("scripts/env");
    write(&dir.path().join("scripts/setup"), "#!/bin/sh\n");
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
    let files = ["pkg/a.js", "pkg/b.wasm", "robots.txt"];
    for file in files {
        write(&site.join(file), file);
    }
    build(&["build", "--release"]);
    for file in files {
        let old = std::fs::File::options().write(true).open(embedded.join(file)).unwrap();
        old.set_modified(long_ago).unwrap();
    }
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
