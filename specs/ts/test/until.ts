import type { Observable } from '../src/observable.ts'

/** Waits until a value is as it should be. */
export function until<T>(source: Pick<Observable<T>, 'get' | 'subscribe'>, wanted: (value: T) => boolean): Promise<T> {
  return new Promise((resolve, reject) => {
    const look = () => {
      if (!wanted(source.get())) return
      clearTimeout(timer)
      unsubscribe()
      resolve(source.get())
    }
    const timer = setTimeout(() => reject(new Error(`it is ${JSON.stringify(source.get()).slice(0, 300)}`)), 15_000)
    const unsubscribe = source.subscribe(look)
    look()
  })
}
