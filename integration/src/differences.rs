//! The tests that a runtime other than this repository's rightly does not pass, and why.
//!
//! Read by [`crate::Scene::begin`]. A name stands here only when the other runtime is laxer,
//! older or differs where the specification leaves the choice; a failure of keel is never excused.

use crate::runtime::Kind;

/// Runtime, test, reason.
#[rustfmt::skip]
const TABLE: &[(Kind, &str, &str)] = &[
    (Kind::Runc, "exec::a_bundle_that_changed_since_has_no_effect", "it reads the bundle again"),
    (Kind::Runc, "exec::a_list_of_cpus_that_is_none_is_refused", "runc knows them from 1.3 on"),
    (Kind::Runc, "exec::a_process_starts_on_the_cpus_that_the_configuration_says", "runc knows them from 1.3 on"),
    (Kind::Runc, "exec::a_sub_cgroup_is_joined_and_nothing_above_or_beside_it", "fixed in runc 1.5.2"),
    (Kind::Runc, "exec::a_user_that_is_no_number_is_refused", "it takes 4294967296 for 0"),
    (Kind::Runc, "bad_input::a_seccomp_profile_is_refused_since_it_cannot_be_applied", "it applies the profile"),
    (Kind::Runc, "bad_input::a_zero_byte_in_a_string_is_refused", "it cuts the string there"),
    (Kind::Runc, "bad_input::preserved_descriptors_that_are_not_open_are_refused", "it takes its own descriptors for the caller's"),
    (Kind::Runc, "bad_input::what_contradicts_itself_in_small_print_is_refused", "it ignores these"),
    (Kind::Runc, "security_links::a_dev_that_is_a_link_leads_nowhere_outside_the_image", "CVE-2026-41579 in runc before 1.3.6"),
    (Kind::Runc, "security_links::mounts_below_a_dev_that_is_a_link_stay_in_the_image", "CVE-2026-41579 in runc before 1.3.6"),
    (Kind::Runc, "security_links::a_masked_path_is_masked_whatever_the_image_calls_dev_null", "CVE-2025-31133 in runc before 1.2.8"),
    (Kind::Runc, "security_links::the_callers_null_device_keeps_its_owner", "it takes any file on /dev/null for the null device"),
    (Kind::Runc, "security_races::a_null_device_that_is_swapped_never_lifts_a_mask", "CVE-2025-31133 in runc before 1.2.8"),
    (Kind::Runc, "security_races::a_proc_that_is_swapped_for_a_link_never_loses_its_protections", "CVE-2025-52881 in runc before 1.2.8"),
    (Kind::Runc, "security_races::destinations_that_are_swapped_for_links_lead_nowhere_outside", "CVE-2024-45310 in runc before 1.1.14"),
    (Kind::Runc, "same_id::names_and_parameters_of_the_hosts_namespaces_are_not_set_through_their_paths", "it renames the host"),
    (Kind::Crun, "same_id::names_and_parameters_of_the_hosts_namespaces_are_not_set_through_their_paths", "it renames the host"),
    (Kind::Runc, "same_id::a_create_that_lost_the_id_touches_nothing_of_the_winner", "the test delays a system call that it does not make"),
    (Kind::Crun, "same_id::a_create_that_lost_the_id_touches_nothing_of_the_winner", "the test delays a system call that it does not make"),
    (Kind::Runc, "same_id::a_delete_that_waited_does_not_remove_a_later_container", "the test delays a system call that it does not make"),
    (Kind::Crun, "same_id::a_delete_that_waited_does_not_remove_a_later_container", "the test delays a system call that it does not make"),
    (Kind::Runc, "same_id::a_runtime_killed_in_a_hook_leaves_nothing_even_without_cgroups", "it cannot do without cgroups"),
    (Kind::Crun, "same_id::a_runtime_killed_in_a_hook_leaves_nothing_even_without_cgroups", "its first process waits for the hook"),
    (Kind::Runc, "same_id::commands_at_random_on_one_id_leave_nothing", "it locks nothing"),
    (Kind::Crun, "same_id::commands_at_random_on_one_id_leave_nothing", "it locks nothing"),
    (Kind::Runc, "process::the_file_creation_mask_is_the_callers_unless_the_configuration_sets_it", "it sets 0022"),
    (Kind::Crun, "process::the_file_creation_mask_is_the_callers_unless_the_configuration_sets_it", "it sets 0022"),
    (Kind::Runc, "hostname::the_domain_name_is_set_inside", "runc knows it from 1.2 on"),
    (Kind::Runc, "namespaces::a_time_namespace_has_offsets_of_its_own", "runc knows it from 1.2 on"),
    (Kind::Runc, "namespaces::without_a_mount_namespace_the_container_sees_the_hosts_mounts_and_changes_none", "it leaves a bind mount on the host"),
    (Kind::Runc, "mounts::directories_on_the_way_do_not_depend_on_the_callers_umask", "fixed in runc 1.2"),
    (Kind::Runc, "mounts::options_of_a_bind_are_cleared", "runc does so from 1.2 on"),
    (Kind::Runc, "mounts::the_mode_of_a_tmpfs_wins_over_that_of_the_directory_it_covers", "fixed in runc 1.4"),
    (Kind::Runc, "rootfs::an_unbindable_root_cannot_be_bound", "fixed in runc 1.3.1"),
    (Kind::Runc, "rootfs::a_root_is_shared_if_the_configuration_says_so_and_else_it_is_not", "fixed in runc 1.3.1"),
    (Kind::Runc, "devices::a_device_that_exists_in_the_image_as_something_else_is_refused", "it takes the file for the device"),
    (Kind::Runc, "devices::a_device_of_the_configuration_may_be_a_default_one", "it then drops the rule that allows it"),
    (Kind::Runc, "process::the_io_priority_is_applied", "runc knows it from 1.2 on"),
    (Kind::Runc, "process::the_personality_and_the_scheduling_of_the_process_are_applied", "runc knows them from 1.2 on"),
    (Kind::Runc, "hooks::a_failing_poststart_hook_stops_the_container", "runc before 1.6 runs it at the end of create"),
    (Kind::Runc, "hooks::the_hooks_run_in_the_order_of_the_specification", "runc before 1.6 runs poststart at the end of create"),
    (Kind::Runc, "hooks::a_failing_start_container_hook_stops_the_container", "its start does not wait for the hook"),
    (Kind::Runc, "hooks::a_failing_poststop_hook_is_told_and_the_container_is_deleted_all_the_same", "it leaves out the hooks after it"),
    (Kind::Runc, "terminal::a_socket_with_a_long_path_works", "it takes no path of more than 107 bytes"),
    (Kind::Runc, "cgroups::a_cgroup_that_holds_a_process_is_refused_and_the_process_lives_on", "runc refuses it from 1.2 on"),
    (Kind::Runc, "user_namespace::a_user_namespace_can_be_joined", "runc before 1.2 wants mappings as well"),
    (Kind::Runc, "lifecycle::a_container_without_a_pid_namespace_is_deleted_with_all_its_processes", "on cgroup v2 it does not wait until the cgroup is empty"),
    (Kind::Runc, "faults::a_create_that_is_killed_at_any_instant_can_be_deleted", "it leaves cgroups behind"),
    (Kind::Runc, "faults::a_detached_run_that_is_killed_at_any_instant_can_be_deleted", "it leaves cgroups behind"),
    (Kind::Runc, "faults::a_foreground_run_that_is_killed_at_any_instant_can_be_deleted", "it leaves cgroups behind"),
    (Kind::Runc, "faults::a_record_that_is_broken_is_told_and_can_be_deleted", "it cannot delete without its record"),
    (Kind::Runc, "load::of_many_creates_with_one_id_exactly_one_succeeds", "it takes no lock on an id"),
    (Kind::Runc, "faults::a_first_process_that_is_killed_while_it_is_made_undoes_the_container", "it leaves its state and a mount behind"),
    (Kind::Runc, "load::list_never_fails_while_containers_come_and_go", "fixed in runc 1.1.13"),
    (Kind::Runc, "notify::a_container_that_ends_without_a_word_keeps_nobody_waiting", "a detached run waits for ever: the process it does not collect is still in /proc"),
    (Kind::Crun, "notify::a_foreground_run_passes_on_that_the_container_is_ready", "it names no main process"),
    (Kind::Crun, "notify::what_detaches_ends_when_the_container_is_ready_and_the_manager_knows", "it names no main process"),
    (Kind::Crun, "notify::a_manager_may_have_an_abstract_socket", "it knows paths only"),
    (Kind::Crun, "notify::a_start_that_is_killed_while_it_waits_leaves_what_delete_removes", "the container keeps the receiving end open"),
];

/// The reason for which a test is not meant for a runtime, if there is one.
pub fn reason(kind: Kind, test: &str) -> Option<&'static str> {
    TABLE.iter().find(|(k, name, _)| *k == kind && *name == test).map(|(_, _, reason)| *reason)
}
