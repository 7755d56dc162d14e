//! The geospatial commands through the command door; replies are those of redis-server 7.0, polygons of
//! valkey-server 9.1.

use crate::commands::testing::{TestShard, check, check_script};

#[test]
fn places_and_distances() {
    let mut shard = TestShard::new();
    check_script(
        &mut shard,
        r#"
        GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania => :2
        GEOADD g NX 1 1 Palermo 2 2 far => :1
        GEOADD g XX CH 3 3 far 4 4 other => :1
        GEOADD g CH 2 2 far => :1
        ZRANGE g 0 -1 WITHSCORES
        => ["far" "3378191666521995" "Palermo" "3479099956230698" "Catania" "3479447370796909"]
        GEODIST g Palermo Catania => "166274.1516"
        GEODIST g Palermo Catania km => "166.2742"
        GEODIST g Palermo Catania mi => "103.3182"
        GEODIST g Palermo nobody => $-1
        GEODIST none a b => $-1
        GEODIST g Palermo Catania xx => -ERR unsupported unit provided. please use M, KM, FT, MI
        GEODIST g Palermo Catania m x => -ERR syntax error
        GEOHASH g Palermo Catania nobody => ["sqc8b49rny0" "sqdtr74hyu0" $-1]
        GEOPOS g Palermo nobody => [["13.36138933897018433" "38.11555639549629859"] *-1]
        GEOPOS none a => [*-1]
        GEOADD g 200 100 a => -ERR invalid longitude,latitude pair 200.000000,100.000000
        GEOADD g x 1 a => -ERR value is not a valid float
        GEOADD g NX XX 1 1 a => -ERR syntax error
        GEOADD g NX 1 1 => -ERR syntax error
        SET s 1 => +OK
        GEOPOS s a => -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
    let mut shard = TestShard::resp3();
    check(&mut shard, "GEOADD g 13.361389 38.115556 Palermo", ":1");
    check(&mut shard, "GEOPOS g Palermo nobody", "[[,13.36138933897018433 ,38.11555639549629859] _]");
}

#[test]
fn searches() {
    let mut shard = TestShard::new();
    check_script(
        &mut shard,
        r#"
        GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 2 2 far => :3
        GEORADIUS g 15 37 200 km WITHDIST ASC => [["Catania" "56.4413"] ["Palermo" "190.4424"]]
        GEORADIUS g 15 37 200 km COUNT 1 => ["Catania"]
        GEORADIUS g 15 37 200 km DESC WITHHASH => [["Palermo" :3479099956230698] ["Catania" :3479447370796909]]
        GEORADIUS_RO g 15 37 100 km WITHCOORD
        => [["Catania" ["15.08726745843887329" "37.50266842333162032"]]]
        GEORADIUSBYMEMBER g Palermo 200 km => ["Palermo" "Catania"]
        GEORADIUSBYMEMBER_RO g nobody 200 km => -ERR could not decode requested zset member
        GEORADIUSBYMEMBER none nobody 200 km => []
        GEORADIUS g 15 37 200 km STOREDIST d => :2
        ZRANGE d 0 -1 => ["Catania" "Palermo"]
        GEORADIUS g 15 37 1 m STORE d => :0
        EXISTS d => :0
        GEORADIUS_RO g 15 37 200 km STORE d => -ERR syntax error
        GEORADIUS g 15 37 200 km STORE d WITHDIST
        => -ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options
        GEOSEARCH g FROMMEMBER Palermo BYBOX 400 400 km ASC => ["Palermo" "Catania"]
        GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 100 km => ["Catania"]
        GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km COUNT 1 ANY => ["Palermo"]
        GEOSEARCH g FROMLONLAT 15 37 BYRADIUS -1 km => -ERR radius cannot be negative
        GEOSEARCH g FROMLONLAT 15 37 BYRADIUS x km => -ERR need numeric radius
        GEOSEARCH g FROMLONLAT 15 37 BYBOX 1 -1 km => -ERR height or width cannot be negative
        GEOSEARCH g FROMLONLAT 15 37 BYBOX x 1 km => -ERR need numeric width
        GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 km ANY => -ERR the ANY argument requires COUNT argument
        GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 1 km COUNT 0 => -ERR COUNT must be > 0
        GEOSEARCH g FROMMEMBER nobody BYRADIUS 1 km => -ERR could not decode requested zset member
        GEOSEARCH g FROMMEMBER Palermo FROMLONLAT 1 2 BYBOX 1 1 m => -ERR syntax error
        GEOSEARCH g BYBOX 1 1 m ASC WITHDIST
        => -ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH
        GEOSEARCH g FROMMEMBER Palermo ASC WITHDIST WITHCOORD
        => -ERR exactly one of BYRADIUS, BYBOX and BYPOLYGON can be specified for GEOSEARCH
        GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km => :2
        ZSCORE d Palermo => "3479099956230698"
        GEOSEARCHSTORE d none FROMLONLAT 15 37 BYRADIUS 200 km => :0
        EXISTS d => :0
        GEOSEARCH g BYPOLYGON 4 12 36 16 36 16 39 12 39 WITHDIST ASC
        => [["Palermo" "87079.3757"] ["Catania" "95942.2984"]]
        GEOSEARCH g BYPOLYGON 2 12 36 16 36 => -ERR GEOSEARCH BYPOLYGON must have at least 3 vertices
        GEOSEARCH g BYPOLYGON x 12 36 16 36 => -ERR invalid number of vertices
        GEOSEARCH g FROMLONLAT 15 37 BYPOLYGON 4 12 36 16 36 16 39 12 39 => -ERR syntax error
        "#,
    );
}

#[test]
fn a_search_finds_what_is_within_the_radius() {
    let mut shard = TestShard::new();
    let mut state = 5u64;
    let mut dice = |end: f64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64 * end
    };
    for i in 0..2000 {
        let (longitude, latitude) = (dice(360.0) - 180.0, dice(170.0) - 85.0);
        check(&mut shard, &format!("GEOADD g {longitude} {latitude} m{i}"), ":1");
    }
    for radius in [100.0, 1000.0, 4000.0] {
        let center = format!("{} {}", dice(300.0) - 150.0, dice(120.0) - 60.0);
        check(&mut shard, &format!("GEOADD c {center} center"), ":1");
        let reply = shard.run(&format!("GEOSEARCH g FROMLONLAT {center} BYRADIUS {radius} km"));
        let found = reply.split('"').filter(|word| word.starts_with('m')).count();
        let mut expected = 0;
        for i in 0..2000 {
            let place = shard.run(&format!("ZSCORE g m{i}"));
            check(&mut shard, &format!("ZADD c {} other", place.trim_matches('"')), if i == 0 { ":1" } else { "..." });
            let distance = shard.run("GEODIST c center other km");
            expected += usize::from(distance.trim_matches('"').parse::<f64>().is_ok_and(|d| d <= radius));
        }
        assert_eq!(found, expected, "within {radius} km of {center}");
        check(&mut shard, "DEL c", ":1");
    }
}
