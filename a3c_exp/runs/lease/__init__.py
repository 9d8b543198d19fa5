"""The lease on a run directory: which process trains there, and whether it still lives, on this machine or on another one.

A lock of the kernel keeps processes of one machine apart. A shared disk need not pass it on to others, so the file ``.lease``
says who trains there, and its holder touches it every few seconds. Who finds it untouched for ``LEASE_SECONDS`` may take it
over; the one who had it, and was only cut off or suspended, finds out before its next write, and stops.
"""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.runs.lease.holder import LEASE as LEASE, LEASE_SECONDS as LEASE_SECONDS, Holder as Holder
    from a3c_exp.runs.lease.lease import Lease as Lease
    from a3c_exp.runs.lease.locking import confirm_lease as confirm_lease, locked as locked
