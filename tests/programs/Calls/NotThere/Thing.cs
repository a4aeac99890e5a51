// Compiled against and not shipped: whoever needs it asks for an assembly that is not there.
namespace NotThere
{
    public static class Thing
    {
        public static void Touch() { }
        public static void Main() { }
    }
}
