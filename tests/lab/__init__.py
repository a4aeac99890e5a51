"""What the tests on real dumps need: .NET runtimes, programs run on them and dumped, and another tool's answers to compare with."""
