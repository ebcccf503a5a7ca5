//! Many users at once: each gets his own files back, and sees nobody else's.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too; clippy counts only functions marked as such"
)]

use ferry_tests::{Server, noise};

/// Users at once.
const USERS: u64 = 20;
/// Files of each.
const FILES: u64 = 50;

#[test]
fn twenty_users_with_fifty_files_each_get_their_own_back() {
    let server = Server::start();
    std::thread::scope(|scope| {
        for user in 0..USERS {
            let server = &server;
            scope.spawn(move || one_user(server, user));
        }
    });
}

fn one_user(server: &Server, number: u64) {
    let user = format!("user{number}");
    server.add_user(&user, &["--quota", "100MiB"]);
    let folder = server.local().join(&user);
    std::fs::create_dir(&folder).unwrap();
    let contents = |file: u64| noise(usize::try_from(1 + file * 997 + number).unwrap(), number * 1000 + file);
    let (mut up, mut down) = (String::new(), String::new());
    for file in 0..FILES {
        std::fs::write(folder.join(format!("f{file}")), contents(file)).unwrap();
        up.push_str(&format!("put {user}/f{file} --as {user}-f{file}\n"));
        down.push_str(&format!("get {user}-f{file} {user}/back{file}\nmd5 {user}-f{file}\n"));
    }
    let script = format!("{up}ls\n{down}");
    let ran = server.script(&user, &script).expect(0);
    for other in (0..USERS).filter(|other| *other != number) {
        assert!(
            !ran.out.contains(&format!("user{other}-f")),
            "{user} sees the files of user{other}"
        );
    }
    for file in 0..FILES {
        let bytes = contents(file);
        let digest = ferry_core::Algorithm::Md5.digest(&bytes).hex();
        assert!(
            ran.out.contains(&format!("{digest}  {user}-f{file}\n")),
            "{user}: digest of f{file}"
        );
        assert_eq!(
            std::fs::read(folder.join(format!("back{file}"))).unwrap(),
            bytes,
            "{user}: f{file}"
        );
    }
}
