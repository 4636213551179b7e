//! The statistics of a cgroup, read from directories with the texts of real kernels: v1, v2, both
//! side by side, and files that are missing or are not what they should be.
//!
//! Needs no privileges: a directory of any file system stands in for a hierarchy.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use libcontainer::cgroup::{Cgroup, Directory};
use libcontainer::task::cgroup::{Kind, Place};
use libcontainer::{
    BlockIoEntry, ErrorKind, HugetlbStatistics, MemoryCounter, RdmaStatistics, Stall, Statistics,
};

/// Hierarchies of a test's own, below the temporary directory.
struct Machine {
    dir: PathBuf,
    cgroup: Cgroup,
}

impl Machine {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = format!("keel-statistics-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(dir);
        fs::create_dir(&dir).unwrap();
        // A cgroup is opened without symbolic links.
        Self { dir: fs::canonicalize(dir).unwrap(), cgroup: Cgroup::default() }
    }

    /// Adds a hierarchy with the container's directory and these files in it.
    fn with(mut self, kind: Kind, controllers: &[&str], files: &[(&str, &str)]) -> Self {
        let mount = self.dir.join(format!("{}", self.cgroup.directories.len()));
        let dir = mount.join("web");
        fs::create_dir_all(&dir).unwrap();
        for (name, text) in files {
            let file = OpenOptions::new().write(true).create_new(true).open(dir.join(name));
            file.unwrap().write_all(text.as_bytes()).unwrap();
        }
        let controllers = controllers.iter().map(|name| (*name).to_owned()).collect();
        let place = Place { kind, mount, path: "/web".to_owned(), controllers };
        self.cgroup.directories.push(Directory { place, made: 1 });
        self
    }

    #[track_caller]
    fn statistics(&self) -> Statistics {
        self.cgroup.statistics().unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn entry(device: (u64, u64), operation: &str, value: u64) -> BlockIoEntry {
    BlockIoEntry { major: device.0, minor: device.1, operation: operation.to_owned(), value }
}

/// Usage, peak, limit and failures.
fn counter(numbers: [Option<u64>; 4]) -> MemoryCounter {
    let [usage, peak, limit, failures] = numbers;
    MemoryCounter { usage, peak, limit, failures }
}

#[test]
fn on_v1_every_controller_has_its_files() {
    let machine = Machine::new()
        .with(
            Kind::Legacy,
            &["cpu", "cpuacct"],
            &[
                ("cpuacct.usage", "16762041\n"),
                ("cpuacct.usage_percpu", "13906557 2855484 \n"),
                ("cpuacct.usage_all", "cpu user system\n0 8000000 4000000\n1 0 1000\n"),
                ("cpuacct.stat", "user 3\nsystem 12\n"),
                (
                    "cpu.stat",
                    "nr_periods 9\nnr_throttled 4\nthrottled_time 77000\nnr_bursts 1\n\
                     burst_time 5\nwait_sum 0\n",
                ),
            ],
        )
        .with(
            Kind::Legacy,
            &["memory"],
            &[
                ("memory.usage_in_bytes", "831488\n"),
                ("memory.max_usage_in_bytes", "2265088\n"),
                ("memory.limit_in_bytes", "9223372036854771712\n"),
                ("memory.failcnt", "3\n"),
                ("memory.memsw.usage_in_bytes", "831489\n"),
                ("memory.kmem.usage_in_bytes", "487424\n"),
                ("memory.kmem.tcp.limit_in_bytes", "1\n"),
                ("memory.stat", "cache 12288\nrss 57344\npgfault 663\n"),
                ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
            ],
        )
        .with(
            Kind::Legacy,
            &["cpuset"],
            &[
                ("cpuset.cpus", "0-1,4\n"),
                ("cpuset.mems", "0\n"),
                ("cpuset.sched_load_balance", "1\n"),
                ("cpuset.sched_relax_domain_level", "-1\n"),
            ],
        )
        .with(Kind::Legacy, &["pids"], &[("pids.current", "7\n"), ("pids.max", "50\n")])
        .with(
            Kind::Legacy,
            &["rdma"],
            &[
                ("rdma.current", "mlx4_0 hca_handle=1 hca_object=20\n"),
                ("rdma.max", "mlx4_0 hca_handle=2 hca_object=max\n"),
            ],
        );
    let found = machine.statistics();
    assert_eq!(found.cpu.usage, Some(16_762_041));
    assert_eq!((found.cpu.user, found.cpu.system), (Some(30_000_000), Some(120_000_000)));
    assert_eq!(found.cpu.per_cpu, [13_906_557, 2_855_484]);
    assert_eq!(found.cpu.per_cpu_user, [8_000_000, 0]);
    assert_eq!(found.cpu.per_cpu_system, [4_000_000, 1000]);
    assert_eq!((found.cpu.periods, found.cpu.throttled_periods), (Some(9), Some(4)));
    assert_eq!(found.cpu.throttled_time, Some(77_000));
    assert_eq!((found.cpu.bursts, found.cpu.burst_time), (Some(1), Some(5)));
    let usage = counter([Some(831_488), Some(2_265_088), Some(9_223_372_036_854_771_712), Some(3)]);
    assert_eq!(found.memory.usage, usage);
    assert_eq!(found.memory.with_swap, counter([Some(831_489), None, None, None]));
    assert_eq!(found.memory.kernel, counter([Some(487_424), None, None, None]));
    assert_eq!(found.memory.kernel_tcp, counter([None, None, Some(1), None]));
    assert_eq!(found.memory.swap, MemoryCounter::default());
    assert_eq!((found.memory.cache(), found.memory.stat["rss"]), (Some(12_288), 57_344));
    assert_eq!(found.memory.oom_kills, Some(2));
    assert_eq!(
        (found.cpuset.cpus.as_slice(), found.cpuset.mems.as_slice()),
        (&[0, 1, 4][..], &[0][..])
    );
    assert_eq!(found.cpuset.sched_load_balance, Some(1));
    assert_eq!(found.cpuset.sched_relax_domain_level, Some(-1));
    assert_eq!(found.cpuset.mem_hardwall, None, "there is no such file");
    assert_eq!((found.pids.current, found.pids.limit), (Some(7), Some(50)));
    let rdma = RdmaStatistics {
        handles: Some(1),
        objects: Some(20),
        handle_limit: Some(2),
        object_limit: Some(u64::MAX),
    };
    assert_eq!(found.rdma["mlx4_0"], rdma);
}

#[test]
fn on_v1_block_devices_are_counted_where_the_scheduler_does() {
    let throttle = [
        (
            "blkio.throttle.io_service_bytes_recursive",
            "8:0 Read 4096\n8:0 Total 4096\nTotal 4096\n",
        ),
        ("blkio.throttle.io_serviced_recursive", "8:0 Read 1\n8:0 Total 1\nTotal 1\n"),
    ];
    let idle = [
        ("blkio.bfq.io_service_bytes_recursive", "Total 0\n"),
        ("blkio.bfq.io_serviced_recursive", "Total 0\n"),
    ];
    let bfq = [
        ("blkio.bfq.io_service_bytes_recursive", "252:1 Write 512\nTotal 512\n"),
        ("blkio.bfq.io_serviced_recursive", "252:1 Write 3\nTotal 3\n"),
        ("blkio.bfq.time_recursive", "252:1 5\n"),
        ("blkio.bfq.sectors_recursive", "252:1 1\n"),
    ];
    let read = |files: &[(&str, &str)]| {
        let machine = Machine::new().with(Kind::Legacy, &["blkio"], files);
        machine.statistics().block_io
    };
    let found = read(&[idle, throttle].concat());
    assert_eq!(found.bytes, [entry((8, 0), "Read", 4096), entry((8, 0), "Total", 4096)]);
    assert_eq!(found.operations, [entry((8, 0), "Read", 1), entry((8, 0), "Total", 1)]);
    let found = read(&[&bfq[..], &throttle].concat());
    assert_eq!(found.bytes, [entry((252, 1), "Write", 512)]);
    assert_eq!(found.operations, [entry((252, 1), "Write", 3)]);
    assert_eq!(
        (found.time, found.sectors),
        (vec![entry((252, 1), "", 5)], vec![entry((252, 1), "", 1)])
    );
    assert!(read(&[]).bytes.is_empty());
}

#[test]
fn on_v1_huge_pages_are_counted_by_size() {
    let machine = Machine::new().with(
        Kind::Legacy,
        &["hugetlb"],
        &[
            ("hugetlb.2MB.usage_in_bytes", "2097152\n"),
            ("hugetlb.2MB.max_usage_in_bytes", "4194304\n"),
            ("hugetlb.2MB.limit_in_bytes", "9223372036852678656\n"),
            ("hugetlb.2MB.failcnt", "1\n"),
            ("hugetlb.2MB.rsvd.usage_in_bytes", "6291456\n"),
            ("hugetlb.2MB.rsvd.failcnt", "5\n"),
            ("hugetlb.1GB.usage_in_bytes", "0\n"),
        ],
    );
    let found = machine.statistics().hugetlb;
    assert!(found.keys().eq(["1GB", "2MB"]));
    let expected = HugetlbStatistics {
        usage: Some(2 << 20),
        peak: Some(4 << 20),
        limit: Some(9_223_372_036_852_678_656),
        failures: Some(1),
        reserved: Some(6 << 20),
        reserved_failures: Some(5),
        ..HugetlbStatistics::default()
    };
    assert_eq!(found["2MB"], expected);
    assert_eq!(found["1GB"], HugetlbStatistics { usage: Some(0), ..HugetlbStatistics::default() });
}

/// The files of a cgroup of v2 with all controllers, Linux 6.1.
const UNIFIED: [(&str, &str); 22] = [
    (
        "cpu.stat",
        "usage_usec 1264\nuser_usec 632\nsystem_usec 631\nnr_periods 5\nnr_throttled 2\n\
         throttled_usec 9\nnr_bursts 1\nburst_usec 3\n",
    ),
    ("cpu.pressure", "some avg10=1.50 avg60=0.00 avg300=0.00 total=7\n"),
    ("cpuset.cpus.effective", "0-1\n"),
    ("cpuset.mems.effective", "0\n"),
    ("io.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"),
    ("io.stat", "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n"),
    ("memory.current", "1048576\n"),
    ("memory.peak", "2097152\n"),
    ("memory.max", "67108864\n"),
    ("memory.events", "low 0\nhigh 0\nmax 41\noom 2\noom_kill 1\noom_group_kill 0\n"),
    (
        "memory.pressure",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=4\n",
    ),
    ("memory.stat", "anon 49152\nfile 12288\npgfault 38\n"),
    ("memory.swap.current", "4096\n"),
    ("memory.swap.max", "max\n"),
    ("pids.current", "3\n"),
    ("pids.max", "max\n"),
    ("pids.events", "max 6\n"),
    ("hugetlb.2MB.current", "2097152\n"),
    ("hugetlb.2MB.max", "max\n"),
    ("hugetlb.2MB.events", "max 8\n"),
    ("hugetlb.2MB.rsvd.current", "4194304\n"),
    ("rdma.current", "mlx4_0 hca_handle=1 hca_object=20\n"),
];

#[test]
fn on_v2_one_directory_has_it_all() {
    let found = Machine::new().with(Kind::Unified, &["cpu", "memory"], &UNIFIED).statistics();
    assert_eq!(found.cpu.usage, Some(1_264_000));
    assert_eq!((found.cpu.user, found.cpu.system), (Some(632_000), Some(631_000)));
    assert_eq!((found.cpu.periods, found.cpu.throttled_periods), (Some(5), Some(2)));
    assert_eq!((found.cpu.throttled_time, found.cpu.burst_time), (Some(9000), Some(3000)));
    let pressure = found.cpu.pressure.unwrap();
    assert_eq!(pressure.some, Stall { avg10: 1.5, total: 7, ..Stall::default() });
    assert_eq!(pressure.full, None, "this kernel has none for the processor");
    assert_eq!(found.cpuset.cpus, [0, 1]);
    let usage = counter([Some(1 << 20), Some(2 << 20), Some(64 << 20), None]);
    assert_eq!(found.memory.usage, usage);
    assert_eq!(found.memory.swap, counter([Some(4096), None, Some(u64::MAX), None]));
    let with_swap = counter([Some((1 << 20) + 4096), None, Some(u64::MAX), None]);
    assert_eq!(found.memory.with_swap, with_swap);
    assert_eq!((found.memory.cache(), found.memory.oom_kills), (Some(12_288), Some(1)));
    assert_eq!(found.memory.events["max"], 41);
    assert_eq!(found.memory.pressure.and_then(|p| p.full).map(|full| full.total), Some(4));
    assert_eq!((found.pids.current, found.pids.limit), (Some(3), Some(u64::MAX)));
    assert_eq!(found.pids.failures, Some(6));
    assert_eq!(found.block_io.bytes[1], entry((8, 0), "Write", 8192));
    assert_eq!(found.block_io.operations[0], entry((8, 0), "Read", 1));
    let pages = &found.hugetlb["2MB"];
    assert_eq!(
        (pages.usage, pages.reserved, pages.failures),
        (Some(2 << 20), Some(4 << 20), Some(8))
    );
    assert_eq!((pages.limit, pages.peak), (Some(u64::MAX), None));
    assert_eq!(found.rdma["mlx4_0"].objects, Some(20));
}

#[test]
fn on_both_each_number_comes_from_the_hierarchy_that_has_the_controller() {
    let unified = [
        ("cpu.stat", "usage_usec 1\nuser_usec 1\nsystem_usec 0\n"),
        ("cpu.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"),
        ("hugetlb.2MB.current", "0\n"),
    ];
    let cpu = [("cpu.stat", "nr_periods 4\nnr_throttled 0\nthrottled_time 0\n")];
    let cpuacct = [("cpuacct.usage", "5000\n")];
    for unified_first in [true, false] {
        let add = |machine: Machine, wanted: bool| {
            if wanted == unified_first {
                machine.with(Kind::Unified, &[], &unified)
            } else {
                machine
            }
        };
        let machine = add(Machine::new(), true).with(Kind::Legacy, &["cpu"], &cpu).with(
            Kind::Legacy,
            &["cpuacct"],
            &cpuacct,
        );
        let found = add(machine, false).statistics();
        assert_eq!((found.cpu.usage, found.cpu.user), (Some(5000), None));
        assert_eq!(found.cpu.periods, Some(4));
        assert_eq!(found.cpu.pressure.map(|pressure| pressure.some.total), Some(7));
        assert!(found.hugetlb.contains_key("2MB"));
    }
}

#[test]
fn what_is_missing_is_absent() {
    let all = ["cpu", "cpuacct", "cpuset", "memory", "pids", "blkio", "hugetlb", "rdma", "freezer"];
    assert_eq!(Machine::new().statistics(), Statistics::default());
    for kind in [Kind::Legacy, Kind::Unified] {
        let machine = Machine::new().with(kind, &all, &[]);
        assert_eq!(machine.statistics(), Statistics::default());
        fs::remove_dir_all(machine.dir.join("0")).unwrap();
        assert_eq!(machine.statistics(), Statistics::default(), "the cgroup is gone");
    }
}

#[test]
fn a_file_that_says_something_else_is_an_error_that_names_it() {
    for (kind, controller, file, text) in [
        (Kind::Legacy, "cpuacct", "cpuacct.usage", "lots"),
        (Kind::Legacy, "cpuacct", "cpuacct.usage_percpu", "1 two"),
        (Kind::Legacy, "cpuacct", "cpuacct.usage_all", "1 2 3"),
        (Kind::Legacy, "cpu", "cpu.stat", "nr_periods"),
        (Kind::Legacy, "cpuset", "cpuset.cpus", "3-1"),
        (Kind::Legacy, "memory", "memory.usage_in_bytes", ""),
        (Kind::Legacy, "memory", "memory.stat", "cache -"),
        (Kind::Legacy, "blkio", "blkio.throttle.io_serviced_recursive", "8:0"),
        (Kind::Legacy, "pids", "pids.current", "-1"),
        (Kind::Unified, "memory", "memory.stat", "anon"),
        (Kind::Unified, "cpu", "cpu.stat", "usage_usec x"),
        (Kind::Unified, "cpu", "cpu.pressure", "full avg10=0.00"),
        (Kind::Unified, "io", "io.stat", "8:0 rbytes=x"),
        (Kind::Unified, "hugetlb", "hugetlb.2MB.current", "two"),
        (Kind::Unified, "rdma", "rdma.current", "mlx4_0 hca_handle=x"),
    ] {
        let machine = Machine::new().with(kind, &[controller], &[(file, text)]);
        let error = machine.cgroup.statistics().unwrap_err();
        let path = machine.dir.join("0/web").join(file);
        assert_eq!(error.to_string(), format!("cannot understand {}: \"{text}\"", path.display()));
        assert_eq!((error.kind(), error.failed_path()), (ErrorKind::System, Some(path.as_path())));
    }
}

#[test]
fn a_link_in_place_of_a_file_is_not_followed() {
    let machine = Machine::new().with(Kind::Legacy, &["pids"], &[]);
    std::os::unix::fs::symlink("/etc/hostname", machine.dir.join("0/web/pids.current")).unwrap();
    let error = machine.cgroup.statistics().unwrap_err().to_string();
    assert!(error.contains("pids.current: too many levels of symbolic links"), "{error}");
}
