using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Threading;

// Collections as services keep them: inside of other collections, behind a registry, behind types of the framework, filled once.
//
//   registry        Registry.services (static) -> Dictionary[key] -> SessionStore -> sessions -> N Session
//   reference-data  Registry.services (static) -> Dictionary[key] -> Catalog -> names -> N strings, made in the constructor
//   handed-on       Registry.services (static) -> Dictionary[key] -> Ledger -> lines -> N strings, added by a method that gets the list
//   nested          Tenants.byName (static) -> Dictionary[name] -> List -> N Session
//   behind          Registry.services (static) -> Dictionary[key] -> Journal -> history -> BlockingCollection -> ConcurrentQueue -> N strings
//   emptied         Outbox.pending (static) -> Queue, to which one method adds and from which another one takes
//   two-indexes     Depot.arrived, Depot.numbered (static) -> List, Dictionary -> N/2 Parcel and N/2 Letter, each in both
namespace Holders
{
    public sealed class Session
    {
        public string User;
        public byte[] State = new byte[400];
    }

    public sealed class SessionStore
    {
        private readonly ConcurrentDictionary<string, Session> sessions = new ConcurrentDictionary<string, Session>();

        public Session Open(string user)
        {
            return sessions.GetOrAdd(user, name => new Session { User = name });
        }
    }

    public sealed class Catalog
    {
        private readonly Dictionary<int, string> names;

        public Catalog(int count)
        {
            names = Enumerable.Range(0, count).ToDictionary(i => i, i => "article number " + i);
        }

        public string this[int id] => names[id];
    }

    public sealed class Ledger
    {
        private readonly List<string> lines = new List<string>();

        public void Book(int count)
        {
            Writer.Write(lines, count);
        }
    }

    public static class Writer
    {
        public static void Write(List<string> target, int count)
        {
            for (int i = 0; i < count; i++)
                target.Add("booked line number " + i + new string('.', 60));
        }
    }

    public sealed class Journal
    {
        private readonly BlockingCollection<string> history = new BlockingCollection<string>();

        public void Note(int number)
        {
            history.Add("entry number " + number + new string('.', 60));
        }
    }

    public static class Tenants
    {
        private static readonly Dictionary<string, List<Session>> byName = new Dictionary<string, List<Session>>();

        public static void Add(string tenant, Session session)
        {
            if (!byName.TryGetValue(tenant, out var list))
                byName[tenant] = list = new List<Session>();
            list.Add(session);
        }
    }

    public static class Outbox
    {
        private static readonly Queue<string> pending = new Queue<string>();

        public static void Send(int number)
        {
            pending.Enqueue("message number " + number + new string('.', 60));
        }

        public static string Next()
        {
            return pending.Count == 0 ? null : pending.Dequeue();
        }
    }

    public sealed class Parcel
    {
        public byte[] Load = new byte[400];
    }

    public sealed class Letter
    {
        public string Text = new string('.', 100);
    }

    public static class Depot
    {
        private static readonly List<object> arrived = new List<object>();
        private static readonly Dictionary<int, object> numbered = new Dictionary<int, object>();

        public static void Take(int number)
        {
            object one = number % 2 == 0 ? (object)new Parcel() : new Letter();
            arrived.Add(one);
            numbered.Add(number, one);
        }
    }

    public static class Registry
    {
        private static readonly Dictionary<string, object> services = new Dictionary<string, object>();

        public static T Get<T>(Func<T> make) where T : class
        {
            string key = typeof(T).FullName;
            if (!services.TryGetValue(key, out var found))
                services[key] = found = make();
            return (T)found;
        }
    }

    public static class Program
    {
        private static void Run(string scenario, int n)
        {
            switch (scenario)
            {
                case "registry":
                    for (int i = 0; i < n; i++)
                        Registry.Get(() => new SessionStore()).Open("user" + i);
                    break;
                case "reference-data":
                    Console.WriteLine(Registry.Get(() => new Catalog(n))[n - 1]);
                    break;
                case "handed-on":
                    Registry.Get(() => new Ledger()).Book(n);
                    break;
                case "nested":
                    for (int i = 0; i < n; i++)
                        Tenants.Add("tenant", new Session { User = "user" + i });
                    break;
                case "behind":
                    for (int i = 0; i < n; i++)
                        Registry.Get(() => new Journal()).Note(i);
                    break;
                case "emptied":
                    for (int i = 0; i < n; i++)
                        Outbox.Send(i);
                    Console.WriteLine(Outbox.Next());
                    break;
                case "two-indexes":
                    for (int i = 0; i < n; i++)
                        Depot.Take(i);
                    break;
                default:
                    throw new ArgumentException("unknown scenario " + scenario);
            }
        }

        public static void Main(string[] args)
        {
            Run(args[0], int.Parse(args[1]));
            GC.Collect();
            Console.WriteLine("FACTS {\"scenario\": \"" + args[0] + "\", \"count\": " + args[1] + "}");
            Console.WriteLine("READY " + Process.GetCurrentProcess().Id);
            Console.Out.Flush();
            Thread.Sleep(Timeout.Infinite);
        }
    }
}
