//! What a process counted in its share of a table goes to the master, and the sum of all comes back.

use crate::Outside;
use crate::link::{Link, Patience};
use crate::member::{ATTEMPT, Error, REGISTER_PATIENCE, client, error};
use ps_core::limits::LEARNT_PART_BYTES;
use ps_core::schema::{TablePart, TableSums};
use ps_proto::{PROTOCOL, v1};
use std::time::Duration;
use tonic::Status;

/// How often who waits for the others asks: the sum is fixed when all have asked again.
const ASK_INTERVAL: Duration = Duration::from_millis(200);

/// Who asks.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The job that it belongs to.
    pub job: String,
    /// What it will be.
    pub role: v1::Role,
    /// Where it runs, for messages to people.
    pub address: String,
    /// Whether every worker counts the same lines.
    pub is_same: bool,
}

/// Sends what was counted here, if the data are a table, and waits for the sum of what all members counted; `None` where
/// nobody has a table.
///
/// # Errors
/// The master is lost, or the job has failed: shares may be of different tables.
pub async fn learn_together(
    outside: &Outside,
    master: &str,
    asker: Asker,
    own: Option<TableSums>,
) -> Result<Option<TableSums>, Error> {
    let own: Vec<TablePart> = own.map(|sums| sums.parts(LEARNT_PART_BYTES)).unwrap_or_default();
    let link = Link::new(&outside.connector, master, &outside.clock, outside.seed)?;
    let mut request = v1::ColumnsRequest {
        job: asker.job,
        role: asker.role.into(),
        token: outside.seed,
        address: asker.address,
        protocol: PROTOCOL,
        is_same: asker.is_same,
        parts: own.len() as u32,
        ..v1::ColumnsRequest::default()
    };
    let (mut sum, mut is_told) = (TableSums::default(), false);
    loop {
        let reply = ask(&link, &request).await?;
        request.part = None;
        if reply.is_settled {
            if let Some(part) = reply.part {
                let unlike = |what: String| error(master, &Status::internal(what));
                let part = TablePart::try_from(part).map_err(|it| error(master, &it.into()))?;
                sum.add_part(part).map_err(unlike)?;
                request.wanted += 1;
            }
            if request.wanted >= reply.parts {
                return Ok((reply.parts > 0).then_some(sum));
            }
            continue;
        }
        // Of a master that was started anew nothing is known.
        (sum, request.wanted) = (TableSums::default(), 0);
        match own.get(reply.next as usize) {
            Some(part) => {
                request.number = reply.next;
                request.part = Some(part.clone().into());
            }
            None => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::info!("waiting for what the other members counted in their shares");
                }
                tokio::time::sleep(ASK_INTERVAL).await;
            }
        }
    }
}

async fn ask(link: &Link, request: &v1::ColumnsRequest) -> Result<v1::ColumnsReply, Error> {
    let attempt = |channel| {
        let request = request.clone();
        async move { Ok(client(channel).learn_columns(request).await?.into_inner()) }
    };
    let patience = Patience { attempt: ATTEMPT, total: REGISTER_PATIENCE };
    let answer = link.call(patience, attempt, |_| ()).await;
    answer.map_err(|status| error(link.address(), &status))
}
