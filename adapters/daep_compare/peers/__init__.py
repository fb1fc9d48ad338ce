"""Methods to compare DAEP with, built from deepinv's own classes: ``Peer(name, sigma, denoiser)``.

Methods with a network use the same network as DAEP. All methods use the same exact data steps and the same starting
point, so they differ in the prior and in the solver only. Parameters: :mod:`daep_compare.peers.tuned_settings`.
"""

from daep_compare.peers.classical import CLASSICAL_PEERS
from daep_compare.peers.downloading import DOWNLOADING
from daep_compare.peers.peer import PEERS, Peer
from daep_compare.peers.tuned_settings import NETWORK_PEERS, Settings, task

__all__ = ["CLASSICAL_PEERS", "DOWNLOADING", "NETWORK_PEERS", "PEERS", "Peer", "Settings", "task"]
