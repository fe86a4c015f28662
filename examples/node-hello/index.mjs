// Says hello, and which invoke of its environment this is: state outside the handler stays.
let invokes = 0;

export const handler = async (event) => {
  invokes += 1;
  return { message: `hello, ${event.name ?? "world"}, from Node ${process.versions.node}`, invokes };
};
