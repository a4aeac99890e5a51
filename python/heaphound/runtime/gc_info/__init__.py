"""GcInfo: what the JIT wrote about the references of one method, decoded for one instruction."""
