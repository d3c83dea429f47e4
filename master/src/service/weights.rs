//! The call by which a program sends weights: the pieces are written here, and the machine hears of the whole.

use super::Service;
use crate::upload::{Taken, Upload};
use ps_core::master::{Machine, WeightsWanted};
use ps_proto::convert::program::WeightsPiece;
use ps_proto::v1;
use ps_runtime::blocking;
use std::time::Duration;
use tonic::Status;

impl Service {
    /// Writes a piece of the weights that a program measured; what follows once they are whole, and how much of them is here.
    pub(super) async fn take_piece(
        &self,
        arrived: Duration,
        piece: WeightsPiece,
    ) -> Result<v1::KeepWeightsReply, Status> {
        let of = (piece.caller, piece.asking);
        let mut upload = self.upload.lock().await;
        let begun = match upload.take_if(|known| known.is_of(of)) {
            Some(known) => Ok(known),
            None => {
                let wanted = move |machine: &mut Machine, _| machine.weights_wanted(of.0, of.1);
                match self.ask(arrived, wanted, |_| false).await? {
                    WeightsWanted::Before(answer) => return Ok(replied(0, Some(answer.into()))),
                    WeightsWanted::Yes(kept) => {
                        // Only now: whoever is refused takes no other's place.
                        drop(upload.take());
                        blocking(|| Upload::begin(self.kept.clone(), of, kept))
                    }
                }
            }
        };
        let taken = begun.and_then(|begun| {
            let is_next = begun.bytes() == piece.offset;
            if is_next { blocking(|| begun.take(&piece)) } else { Ok(Taken::Part(begun)) }
        });
        let written = match taken {
            Ok(Taken::Part(part)) => {
                let bytes = part.bytes();
                *upload = Some(part);
                return Ok(replied(bytes, None));
            }
            Ok(Taken::Whole(kept)) => Ok(kept),
            Err(error) => Err(error.to_string()),
        };
        let written = move |machine: &mut Machine, now| machine.weights_written(of, written, now);
        let answer = self.ask(arrived, written, |_| true).await?;
        Ok(replied(0, Some(answer.into())))
    }
}

fn replied(taken: u64, answer: Option<v1::MeasuresReply>) -> v1::KeepWeightsReply {
    v1::KeepWeightsReply { taken, answer }
}
