//! A client of the Container Runtime Interface, the gRPC service by which Kubernetes has pods made.
//!
//! Each call waits for its answer: the tests read as plain sequences.

pub mod messages;
pub mod pods;
pub mod streams;

use std::path::Path;

use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use messages::Request;

/// Whose a namespace is: the pod's.
pub const POD: i32 = 0;
/// The container's own.
pub const CONTAINER: i32 = 1;
/// The host's.
pub const NODE: i32 = 2;

/// States of a container.
pub const RUNNING: i32 = 1;
/// It has ended.
pub const EXITED: i32 = 2;

/// A connection to an engine.
pub struct Cri {
    executor: tokio::runtime::Runtime,
    channel: Channel,
}

impl Cri {
    /// Connects to a socket, with the first call.
    pub fn connect(socket: &Path) -> Self {
        let executor = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let executor = executor.expect("an executor");
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()));
        let channel = executor.block_on(async { endpoint.expect("a path").connect_lazy() });
        Self { executor, channel }
    }

    /// Calls, and gives the answer or what the engine says against it.
    pub fn try_call<R: Request>(&self, request: R) -> Result<R::Answer, String> {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        let call = async {
            client.ready().await.map_err(|error| error.to_string())?;
            let codec = ProstCodec::<R, R::Answer>::default();
            let method = PathAndQuery::from_static(R::METHOD);
            let answer = client.unary(tonic::Request::new(request), method, codec).await;
            answer.map(tonic::Response::into_inner).map_err(|status| status.message().to_owned())
        };
        let call = async { tokio::time::timeout(crate::runtime::patience(), call).await };
        self.executor.block_on(call).unwrap_or_else(|_| Err(format!("{}: no answer", R::METHOD)))
    }

    /// A call that must succeed.
    #[track_caller]
    pub fn call<R: Request>(&self, request: R) -> R::Answer {
        match self.try_call(request) {
            Ok(answer) => answer,
            Err(error) => panic!("{}: {error}", R::METHOD),
        }
    }
}
