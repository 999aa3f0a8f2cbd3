//! Envoys that tests use one after another.
//!
//! V8 compiles the whole filter whenever an Envoy starts, which takes about five seconds of a processor. An Envoy of this
//! pool has compiled it for an unused listener of its own. A test gets its own listeners, and a cluster of its own provider
//! double, by the files that Envoy watches. No two tests use the same Envoy at the same time.

use crate::bootstrap::Site;
use crate::envoy::{Envoy, Options, Running, Setup, module, replace_watched};
use crate::provider::Provider;
use crate::wait::wait_for;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All Envoys of the pool, the one used last at the end. An Envoy without other references is idle.
static POOL: Mutex<Vec<Arc<Running>>> = Mutex::new(Vec::new());

/// Returns the pool. A failed test leaves the list unchanged.
fn pool() -> MutexGuard<'static, Vec<Arc<Running>>> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Maximum Envoys in the pool; each takes about 150 MB. Two threads use two at a time.
const MOST: usize = 10;

static LEASES: AtomicUsize = AtomicUsize::new(0);

const LISTENERS: &str = "listeners.json";
const CLUSTERS: &str = "clusters.json";

/// Returns the `dynamic_resources` of an Envoy of the pool.
pub(crate) fn dynamic_resources(home: &Path) -> Value {
    let source = |file| json!({"path_config_source": {"path": home.join(file)}, "resource_api_version": "V3"});
    json!({"lds_config": source(LISTENERS), "cds_config": source(CLUSTERS)})
}

/// Writes the files of an idle Envoy.
pub(crate) fn empty(home: &Path) {
    put(home, LISTENERS, 0, Vec::new());
    put(home, CLUSTERS, 0, Vec::new());
}

fn put(home: &Path, file: &str, version: usize, resources: Vec<Value>) {
    let update = json!({"version_info": version.to_string(), "resources": resources});
    replace_watched(&home.join(file), &update);
}

/// Sets the message type of a resource.
fn typed(message: &str, mut resource: Value) -> Value {
    resource["@type"] = json!(format!("type.googleapis.com/envoy.config.{message}"));
    resource
}

/// Returns an idle Envoy with these options, or a new one.
fn idle(options: &Options) -> Arc<Running> {
    let mut pool = pool();
    let is_idle = |running: &Arc<Running>| Arc::strong_count(running) == 1;
    let found = pool
        .iter()
        .position(|running| running.options == *options && is_idle(running));
    if let Some(at) = found {
        let running = pool.remove(at);
        pool.push(Arc::clone(&running));
        return running;
    }
    // The first one was used longest ago.
    if let Some(at) = pool.iter().position(is_idle).filter(|_| pool.len() >= MOST) {
        pool.remove(at);
    }
    drop(pool);
    let policy = json!({
        "apiVersion": "agentguard.dev/v1",
        "kind": "AgentPolicy",
        "metadata": {"name": "compiled"},
        "defaults": {"action": "allow"},
        "rules": [],
    });
    let compiled = Setup::with_options(options.clone(), vec![Site::new("compiled", &policy)]);
    let running = Arc::clone(&compiled.dynamic().start().running);
    self::pool().push(Arc::clone(&running));
    running
}

/// Gives a setup an idle Envoy, or a new one.
///
/// # Errors
/// Envoy rejected a listener; the error is its output.
pub(crate) fn lease(setup: Setup) -> Result<Envoy, String> {
    let running = idle(&setup.options);
    let number = LEASES.fetch_add(1, Ordering::Relaxed) + 1;
    let home = running.home.join(number.to_string());
    std::fs::create_dir_all(&home).expect("a directory for the logs of a test");
    setup.put_filters(&home);
    let provider = Provider::start();
    let printed_before = running.printed().len();
    let module = module();
    let bootstrap = setup.bootstrap(&provider, &home, &module);
    let listener_name = |site: &str| format!("{site} {number}");

    let clusters = bootstrap.clusters().into_iter();
    let clusters = clusters.map(|cluster| typed("cluster.v3.Cluster", cluster));
    put(&running.home, CLUSTERS, number, clusters.collect());
    wait_for("Envoy to take the clusters", || {
        let clusters = running.page("/clusters?format=text")?;
        let endpoint = format!("provider::{}::", bootstrap.provider);
        clusters.contains(&endpoint).then_some(())
    });
    running.reset_counters();
    let listeners = setup.sites.iter().zip(bootstrap.listeners());
    let listeners = listeners.map(|(site, mut listener)| {
        listener["name"] = json!(listener_name(&site.name));
        typed("listener.v3.Listener", listener)
    });
    put(&running.home, LISTENERS, number, listeners.collect());
    let taken = wait_for("Envoy to take the listeners", || {
        if running.stat("listener_manager.lds.update_rejected") > 0 {
            return Some(false);
        }
        let listeners = running.page("/listeners?format=text")?;
        let has = |site: &Site| listeners.contains(&format!("{}::", listener_name(&site.name)));
        setup.sites.iter().all(has).then_some(true)
    });
    let envoy = Envoy::new(running, home, provider, printed_before);
    if taken {
        Ok(envoy.listening(setup.sites, listener_name))
    } else {
        Err(envoy.printed())
    }
}

/// Removes the listeners of a test from its Envoy. After a failed test the Envoy is not used again.
pub(crate) fn give_back(running: &Arc<Running>, home: &Path) {
    if std::thread::panicking() {
        pool().retain(|other| !Arc::ptr_eq(other, running));
    } else {
        put(&running.home, LISTENERS, 0, Vec::new());
    }
    let _ = std::fs::remove_dir_all(home);
}
