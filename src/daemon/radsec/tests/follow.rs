//! What becomes of open connections when files, configuration or time change.

use super::*;

#[test]
fn a_server_whose_ca_does_not_count_any_more_is_left_whoever_noticed_first() {
    run(async {
        let world = World::new();
        let serving = world.serve();
        let (asking, port) = world.ask(&world.tls(), &named());
        let mut nas = Nas::new(port).await;
        assert_eq!(nas.ask(1).await, Some(Code::ACCESS_REJECT));
        world.files.ca("ca.pem", &[&Ca::root("Other CA")]);
        // The test reads the new file; the open connection is looked at only afterwards.
        let (ok, told) = world.test(&asking).await;
        assert!(!ok && told.contains("is signed by a CA that"), "{told}");
        until("the test is over", || serving.radsec.connections() == 1).await;
        asking.upstream.follow(&asking.core.borrow(), &asking.radsec.clock);
        until("the connection is closed", || serving.radsec.connections() == 0).await;
    });
}

#[test]
fn a_server_whose_ca_stops_to_count_during_the_handshake_is_not_asked() {
    run(async {
        let world = World::new();
        // Takes connections, but does not pass on what they carry before it is told to.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let serving = world.serve();
        let server = format!("radsec://{}", listener.local_addr().unwrap());
        let (asking, port) = world.ask_at(&server, &world.tls(), &named());
        let mut nas = Nas::new(port).await;
        let pass = async {
            let (mut from, _) = listener.accept().await.unwrap();
            world.files.ca("ca.pem", &[&Ca::root("Other CA")]);
            asking.upstream.follow(&asking.core.borrow(), &asking.radsec.clock);
            let mut to = TcpStream::connect(("127.0.0.1", world.port)).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
        };
        let answer = tokio::select! {
            answer = nas.ask(1) => answer,
            () = pass => None,
        };
        // We say no, for lack of a server.
        assert_eq!((answer, serving.core.borrow().radius.stats.rejects), (Some(Code::ACCESS_REJECT), 0));
    });
}

#[test]
fn many_certificates_are_judged_anew_a_few_at_a_time_and_only_when_they_have_to_be() {
    run(async {
        let world = World::new();
        let serving = world.serve();
        let mut open = Vec::new();
        for number in 1..=super::super::JUDGED + 2 {
            open.push(stranger(&world).await);
            until("it is open", || serving.radsec.connections() == number).await;
        }
        let due = || {
            let accepting = serving.radsec.accepting.borrow().get().unwrap();
            let wall = crate::daemon::now().wall;
            let open = serving.radsec.open.borrow();
            open.values().filter(|open| open.judged.is_due(&accepting.judge, wall)).count()
        };
        let more = async || timeout(Duration::from_millis(20), serving.radsec.more.notified()).await.is_ok();
        serving.follow_files();
        assert_eq!((due(), more().await), (0, false), "nothing has changed");
        world.files.ca("ca.pem", &[&world.ca, &Ca::root("Other CA")]);
        serving.follow_files();
        assert_eq!((due(), more().await), (2, true));
        serving.radsec.judge(&serving.core.borrow());
        assert_eq!((due(), more().await, serving.radsec.connections()), (0, false, open.len()));
    });
}

#[test]
fn connections_end_with_the_listener_they_came_in_by() {
    run(async {
        let world = World::new();
        let serving = world.serve();
        let stream = stranger(&world).await;
        until("it is open", || serving.radsec.connections() == 1).await;
        let other = port();
        serving.reconfigure(|config| config.radsec.listen.push(format!("127.0.0.1:{other}").parse().unwrap()));
        rebind(&serving);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(serving.radsec.connections(), 1, "another one is no reason");
        serving.reconfigure(|config| {
            config.radsec.listen.remove(0);
        });
        rebind(&serving);
        until("it is closed", || serving.radsec.connections() == 0).await;
        assert_eq!(rest(stream).await, b"");
    });
}

#[test]
fn a_server_whose_certificate_expires_is_left() {
    run(async {
        let world = World::new();
        let end = u64::try_from(crate::time::UnixTime::now().0).unwrap() + 2;
        world.files.certificate("server", &world.ca, SERVER, |params| {
            params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(end);
        });
        let serving = world.serve();
        let (asking, port) = world.ask(&world.tls(), &named());
        let mut nas = Nas::new(port).await;
        assert_eq!(nas.ask(1).await, Some(Code::ACCESS_REJECT));
        asking.follow_files();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(serving.radsec.connections(), 1);
        tokio::time::sleep(Duration::from_secs(3)).await;
        asking.follow_files();
        until("the connection is closed", || serving.radsec.connections() == 0).await;
    });
}
