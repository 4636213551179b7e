//! What is mounted into a container, and the id mappings that mounts and user namespaces share.
//!
//! The model of `mounts` in `config.json` (config.md, "Mounts"). Plain data for the features'
//! checks; options stay the strings they are, in their order, and nothing here may look at a path.

use super::record::record;

record! {
    /// One of `mounts`, performed in the listed order (config.md, "Mounts").
    Mount {
        /// Where to mount, inside the container. A relative path counts from its root. Required.
        destination: String = always "destination",
        /// File system type as in `/proc/filesystems`; a dummy for bind mounts. Default: none.
        kind: Option<String> = optional "type",
        /// Device, dummy, or for a bind mount a path, relative to the bundle. Default: none.
        source: Option<String> = optional "source",
        /// Options in the manner of mount(8); unknown ones are the file system's own. Default: none.
        options: Vec<String> = optional "options",
        /// User ids of an idmapped mount (`idmap`, `ridmap`). Default: the container's.
        uid_mappings: Vec<IdMapping> = optional "uidMappings",
        /// Group ids of an idmapped mount. Default: the container's.
        gid_mappings: Vec<IdMapping> = optional "gidMappings",
    }

    /// A range of ids of a user namespace or idmapped mount (config-linux.md, "User namespace
    /// mappings").
    IdMapping {
        /// First id inside.
        container_id: u32 = always "containerID",
        /// First id on the host.
        host_id: u32 = always "hostID",
        /// How many ids.
        size: u32 = always "size",
    }
}
